"""Embedder: how does any function from texts to vectors become one that can be relied on?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nearrow.errors import EmbeddingError, InvalidArgumentError, NearrowError
from nearrow.progress import Advance
from nearrow.schema import PROBES, ModelIdentity

BATCH_TEXTS = 64
Function = Callable[[list[str]], Any]
"""Texts → array [texts, dimensions], or anything that NumPy makes one of."""


@dataclass(frozen=True)
class Embedder:
    """An embedding model: `documents` embeds what is stored, `queries` what is asked; most models have one function.

    name: what the collection remembers it by. batch_texts: how many texts one call gets at most.
    """

    name: str
    documents: Function
    queries: Function
    batch_texts: int = BATCH_TEXTS

    def embed_documents(self, texts: list[str], advance: Advance = lambda rows: None) -> npt.NDArray[np.float32]:
        """float32 [texts, dimensions] of texts to be stored; EmbeddingError if the model fails."""
        return self._embed(self.documents, texts, advance)

    def embed_queries(self, texts: list[str]) -> npt.NDArray[np.float32]:
        """float32 [texts, dimensions] of texts to look for; EmbeddingError if the model fails."""
        return self._embed(self.queries, texts, lambda rows: None)

    def identity(self) -> ModelIdentity:
        """Name, dimension and fingerprint; calls the model."""
        return ModelIdentity.of(self.name, self.embed_documents(list(PROBES)))

    def _embed(self, function: Function, texts: Sequence[str], advance: Advance) -> npt.NDArray[np.float32]:
        pieces: list[npt.NDArray[np.float32]] = []
        for start in range(0, len(texts), self.batch_texts):
            batch = list(texts[start : start + self.batch_texts])
            pieces.append(self._call(function, batch))
            advance(len(batch))
        return np.concatenate(pieces) if pieces else np.empty((0, 0), np.float32)

    def _call(self, function: Function, batch: list[str]) -> npt.NDArray[np.float32]:
        try:
            vectors = np.asarray(function(batch), dtype=np.float32)
        except NearrowError:
            raise
        except Exception as error:  # whatever a model raises, the caller must hear which model it was
            raise EmbeddingError(
                f"the embedding model {self.name!r} failed for {len(batch)} texts: {error!r}"
            ) from error
        if vectors.ndim != 2 or len(vectors) != len(batch) or vectors.shape[1] == 0:
            raise EmbeddingError(
                f"the embedding model {self.name!r} gave an array of shape {vectors.shape} for {len(batch)} texts; "
                f"it must be [{len(batch)}, dimensions]"
            )
        if not np.isfinite(vectors).all():
            position = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
            raise EmbeddingError(f"the embedding model {self.name!r} gave NaN or infinity for {batch[position][:60]!r}")
        return vectors


def embedder_of_function(function: Function) -> Embedder:
    """Any callable as an Embedder, remembered by its module and name."""
    if not callable(function):
        raise InvalidArgumentError(
            f"embedding must be a function from a list of texts to vectors, or a name like 'model2vec/…', not {function!r}"
        )
    named = function if hasattr(function, "__qualname__") else type(function)
    return Embedder(f"{named.__module__}.{named.__qualname__}", function, function)
