"""Verbs: what does a collection do with its embedding model?"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearrow.awaitable import awaited_read, awaited_write
from nearrow.embedding.embedder import Embedder
from nearrow.embedding.opening import checked_embedder, embedder_of, stored_embedder
from nearrow.errors import InvalidArgumentError
from nearrow.progress import Advance, bar
from nearrow.schema import CollectionConfig, Embed, embedded_column, vectors_of_texts
from nearrow.write.follower import Follower
from nearrow.write.writer import Writer


class EmbeddingVerbs:
    """The part of `Collection` that knows its model; the collection gives its store."""

    _embedder: Embedder | None = None
    _model_of: CollectionConfig | None = None  # the config that the model was last compared with

    def __init__(self) -> None:
        self._model_lock = threading.RLock()

    if TYPE_CHECKING:
        _store: Writer | Follower

        @property
        def config(self) -> CollectionConfig: ...
        def count(self, where: Any = None) -> int: ...
        def _writer(self) -> Writer: ...
        def _attach(self, store: Writer | Follower) -> None: ...

    def embed(self, texts: str | list[str]) -> npt.NDArray[np.float32]:
        """The vectors that `search(query=…)` looks for: float32 [d] for a text, [texts, d] for a list of texts."""
        if isinstance(texts, str):
            return self._model().embed_queries([texts])[0]
        return self._model().embed_queries(list(texts))

    def reembed(self, embedding: Any, *, progress: bool = False) -> int:
        """Change over to another embedding model: every row gets a new vector, made of its text. Returns how many.

        Searches and writes go on meanwhile, with the old model; the change comes in one moment, with the new graph, and
        is durable as a whole or not at all. The dimension may change. Raises InvalidArgumentError, before anything is
        written, if a row has no text; EmbeddingError if the model fails.
        """
        writer = self._writer()
        embedder = embedder_of(embedding)
        identity = embedder.identity()
        config = replace(self.config, dimension=identity.dimension, embedding=identity)
        column = embedded_column(config)
        total = self.count()
        lacking = self.count(f'"{column}" IS NULL') if total and column in writer.view.schema.names else total
        if lacking:
            raise InvalidArgumentError(
                f"rows without a text in {column!r} to make a new vector of: {lacking}; give them one, or delete them, first"
            )
        with bar(f"embedding {config.name} anew", total, progress) as advance:

            def vectors(batch: pa.RecordBatch) -> pa.Array:
                embed = _reporting(embedder, advance)
                return vectors_of_texts(batch.column(column), column, config, embed, range(batch.num_rows))

            rows = writer.reembed(config, vectors, lambda: self._changing_to(embedder))
        writer.background.wake()
        return rows

    aembed = awaited_read(embed)
    areembed = awaited_write(reembed)

    # ---- inside

    @contextmanager
    def _changing_to(self, embedder: Embedder) -> Iterator[None]:
        """Inside, rows and config change over; whoever asks for the model meanwhile waits, and gets the new one."""
        with self._model_lock:
            yield
            self._attach(self._store)
            self._adopt(embedder)

    def _use(self, embedding: Any) -> None:
        """Make this the collection's model, if it is the one that made the vectors."""
        self._adopt(checked_embedder(embedding, self.config))

    def _adopt(self, embedder: Embedder) -> None:
        """This is the model of the collection's config, as it is now."""
        with self._model_lock:
            self._embedder, self._model_of = embedder, self.config

    def _model(self) -> Embedder:
        """The collection's model; one that its adapter can open by name is opened when it is first needed."""
        with self._model_lock:
            config = self.config
            if self._embedder is None or (self._model_of is not config and not self._is_of(config)):
                self._embedder = stored_embedder(config)
            self._model_of = config
            return self._embedder

    def _is_of(self, config: CollectionConfig) -> bool:
        """Whether the model is still the one: a reader may find that the writer has changed over to another."""
        assert self._embedder is not None
        return config.embedding is None or config.embedding.agrees_with(self._embedder.identity())

    def _embedding(self, rows: int | None, progress: bool) -> AbstractContextManager[Embed | None]:
        """A function for texts that come without vectors, or None if there is no model. Its bar shows once it is used.

        Inside the block only: rows that stream in are embedded while they are written, under the bar of that.
        """
        if self._embedder is None and self.config.embedding is None:
            return nullcontext()
        return self._embedding_shown(rows, progress)

    @contextmanager
    def _embedding_shown(self, rows: int | None, progress: bool) -> Iterator[Embed]:
        shown: list[Advance] = []
        with ExitStack() as stack:

            def embed(texts: list[str]) -> npt.NDArray[np.float32]:
                if not shown:
                    shown.append(stack.enter_context(bar(f"embedding for {self.config.name}", rows, progress)))
                return _reporting(self._model(), shown[0])(texts)

            yield embed
        shown[:] = [lambda done: None]


def _reporting(embedder: Embedder, advance: Advance) -> Embed:
    return lambda texts: embedder.embed_documents(texts, advance)
