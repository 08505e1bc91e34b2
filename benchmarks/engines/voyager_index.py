"""voyager: Spotify's HNSW."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import voyager

from benchmarks.engines import Engine, K


class Voyager(Engine):
    package = "voyager"
    incremental = True
    parameters: ClassVar[dict[str, Any]] = {"M": 16, "ef_construction": 200}

    def start(self, folder: Path, dimension: int, metric: str, rows: int, threads: int) -> None:
        space = {"l2": voyager.Space.Euclidean, "cosine": voyager.Space.Cosine, "dot": voyager.Space.InnerProduct}[
            metric
        ]
        self.threads = threads
        self.index = voyager.Index(space, dimension, M=16, ef_construction=200, max_elements=rows)

    def add(self, vectors: np.ndarray, first: int) -> None:
        rows = np.arange(first, first + len(vectors))
        self.index.add_items(np.ascontiguousarray(vectors), rows, num_threads=self.threads)

    def save(self, folder: Path) -> None:
        self.index.save(str(folder / "index"))

    def open(self, folder: Path, base: np.ndarray, metric: str, threads: int = 1) -> None:
        self.threads = threads
        self.index = voyager.Index.load(str(folder / "index"))

    def set_beam(self, beam: int) -> None:
        self.beam = beam

    def search(self, query: np.ndarray) -> np.ndarray:
        return self.index.query(query, k=K, query_ef=self.beam, num_threads=1)[0].astype(np.int64)

    def batch(self, queries: np.ndarray, threads: int) -> np.ndarray:
        return self.index.query(queries, k=K, query_ef=self.beam, num_threads=threads)[0].astype(np.int64)
