"""Models: what becomes of the verbs of an embedding model behind a server?

A server embeds nothing: a client that could name a model would make the server load it. The client embeds, and sends
vectors; these verbs say so.
"""

from __future__ import annotations

from typing import Any, NoReturn

from nearrow.awaitable import awaited_read, awaited_write
from nearrow.errors import InvalidArgumentError


def refuse_model(embedding: Any) -> None:
    """InvalidArgumentError if a model, or words for one, were given."""
    if embedding is not None:
        raise InvalidArgumentError(
            "a server embeds nothing: call the model in the client, and send vectors (and texts, for a hybrid search)"
        )


class RemoteModels:
    """The part of `RemoteCollection` that a directory would answer with its embedding model."""

    def embed(self, texts: str | list[str]) -> NoReturn:
        """InvalidArgumentError: call the model itself."""
        refuse_model(texts)
        raise InvalidArgumentError("texts are missing")

    def reembed(self, embedding: Any, *, progress: bool = False) -> NoReturn:
        """InvalidArgumentError: stop the server, and do it with the directory open."""
        raise InvalidArgumentError(
            "reembed() needs the directory: stop the server, connect to the path, and do it there"
        )

    aembed = awaited_read(embed)
    areembed = awaited_write(reembed)
