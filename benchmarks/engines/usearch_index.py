"""usearch: HNSW over float32, half or 8-bit copies of the vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from usearch.index import Index

from benchmarks.engines import Engine, K

METRICS = {"l2": "l2sq", "cosine": "cos", "dot": "ip"}


class Usearch(Engine):
    package = "usearch"
    incremental = True
    parameters: ClassVar[dict[str, Any]] = {"connectivity": 16, "expansion_add": 200}

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype

    def _empty(self, dimension: int, metric: str) -> Index:
        return Index(ndim=dimension, metric=METRICS[metric], dtype=self.dtype, connectivity=16, expansion_add=200)

    def start(self, folder: Path, dimension: int, metric: str, rows: int, threads: int) -> None:
        self.threads = threads
        self.index = self._empty(dimension, metric)

    def add(self, vectors: np.ndarray, first: int) -> None:
        self.index.add(np.arange(first, first + len(vectors)), np.ascontiguousarray(vectors), threads=self.threads)

    def save(self, folder: Path) -> None:
        self.index.save(str(folder / "index"))

    def open(self, folder: Path, base: np.ndarray, metric: str, threads: int = 1) -> None:
        self.threads = threads
        self.index = self._empty(base.shape[1], metric)
        self.index.load(str(folder / "index"))

    def set_beam(self, beam: int) -> None:
        self.index.expansion_search = beam

    def search(self, query: np.ndarray) -> np.ndarray:
        return self.index.search(query, K, threads=1).keys.astype(np.int64)

    def batch(self, queries: np.ndarray, threads: int) -> np.ndarray:
        return self.index.search(queries, K, threads=threads).keys.astype(np.int64)
