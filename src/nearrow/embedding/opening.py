"""Opening: which embedding model belongs to this collection?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nearrow.embedding.embedder import Embedder, embedder_of_function
from nearrow.embedding.naming import is_named, open_named
from nearrow.errors import EmbeddingError, InvalidArgumentError
from nearrow.schema import CollectionConfig

DEFAULT_TEXT_FIELDS = ("text",)


def embedder_of(embedding: Any) -> Embedder:
    """What a caller gave as `embedding=`, a name, a function or an Embedder, as an Embedder."""
    if isinstance(embedding, Embedder):
        return embedding
    return open_named(embedding) if isinstance(embedding, str) else embedder_of_function(embedding)


def new_config(
    name: str, dimension: int | None, embedding: Any, settings: Mapping[str, Any]
) -> tuple[CollectionConfig, Embedder | None]:
    """The config of a new collection, and its model: with one the dimension may be left out, and "text" is a text field."""
    if embedding is None:
        if dimension is None:
            raise InvalidArgumentError("dimension is missing: give it, or an embedding= whose vectors tell it")
        return CollectionConfig(name, dimension, **settings), None
    embedder = embedder_of(embedding)
    identity = embedder.identity()
    dimension = identity.dimension if dimension is None else dimension
    given = {"text_fields": DEFAULT_TEXT_FIELDS, **settings, "embedding": identity}
    return CollectionConfig(name, dimension, **given), embedder


def checked_embedder(embedding: Any, config: CollectionConfig) -> Embedder:
    """The model for a collection that exists; EmbeddingError if it is not the one that made the vectors."""
    embedder = embedder_of(embedding)
    given, kept = embedder.identity(), config.embedding
    if given.dimension != config.dimension or (kept is not None and not kept.agrees_with(given)):
        made = f"{kept.name!r} ({kept.dimension} dimensions)" if kept else f"a model of {config.dimension} dimensions"
        raise EmbeddingError(
            f"the vectors of {config.name!r} were made by {made}; {given.name!r} ({given.dimension} dimensions) gives "
            "others, and mixing them makes distances meaningless. Give the model that made them, or change over to "
            "this one: open the collection without embedding= and call reembed()"
        )
    return embedder


def stored_embedder(config: CollectionConfig) -> Embedder:
    """The model that the collection's config names, opened by its adapter; EmbeddingError if it has to be given."""
    kept = config.embedding
    if kept is None:
        raise EmbeddingError(
            f"collection {config.name!r} has no embedding model; give vectors, or open it with "
            f"db.collection({config.name!r}, embedding=…)"
        )
    if not is_named(kept.name):
        raise EmbeddingError(
            f"collection {config.name!r} was made with the function {kept.name!r}, which is not stored; give it again: "
            f"db.collection({config.name!r}, embedding=…)"
        )
    return checked_embedder(kept.name, config)
