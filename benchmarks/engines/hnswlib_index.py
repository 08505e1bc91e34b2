"""hnswlib: the yardstick; every ratio is to it (M=16, efConstruction=200, compiled for this machine)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import hnswlib
import numpy as np

from benchmarks.engines import Engine, K

SPACES = {"l2": "l2", "cosine": "cosine", "dot": "ip"}


class Hnswlib(Engine):
    package = "hnswlib"
    incremental = True
    parameters: ClassVar[dict[str, Any]] = {"M": 16, "ef_construction": 200}

    def start(self, folder: Path, dimension: int, metric: str, rows: int, threads: int) -> None:
        self.index = hnswlib.Index(SPACES[metric], dimension)
        self.index.init_index(rows, M=16, ef_construction=200)
        self.index.set_num_threads(threads)

    def add(self, vectors: np.ndarray, first: int) -> None:
        self.index.add_items(vectors, np.arange(first, first + len(vectors)))

    def save(self, folder: Path) -> None:
        self.index.save_index(str(folder / "index"))

    def open(self, folder: Path, base: np.ndarray, metric: str, threads: int = 1) -> None:
        self.index = hnswlib.Index(SPACES[metric], base.shape[1])
        self.index.load_index(str(folder / "index"), max_elements=len(base))
        self.index.set_num_threads(threads)

    def set_beam(self, beam: int) -> None:
        self.index.set_ef(beam)

    def search(self, query: np.ndarray) -> np.ndarray:
        return self.index.knn_query(query, k=K, num_threads=1)[0][0]

    def batch(self, queries: np.ndarray, threads: int) -> np.ndarray:
        return self.index.knn_query(queries, k=K, num_threads=threads)[0]
