"""NGT: its graph (ANNG) over float32; the quantized graph QG needs command-line tools that the wheel lacks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import ngtpy
import numpy as np

from benchmarks.engines import Engine, K


class Ngt(Engine):
    package = "ngt"
    beams = (0.0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3)
    parameters: ClassVar[dict[str, Any]] = {"edge_size_for_creation": 40, "edge_size_for_search": 0}

    def start(self, folder: Path, dimension: int, metric: str, rows: int, threads: int) -> None:
        kind = {"l2": "L2", "cosine": "Cosine", "dot": "InnerProduct"}[metric]
        self.path, self.threads = str(folder / "index"), threads
        ngtpy.create(self.path, dimension, distance_type=kind, edge_size_for_creation=40, edge_size_for_search=0)

    def add(self, vectors: np.ndarray, first: int) -> None:
        self.index = ngtpy.Index(self.path)
        self.index.batch_insert(np.ascontiguousarray(vectors), self.threads)

    def save(self, folder: Path) -> None:
        self.index.save()
        self.index.close()

    def open(self, folder: Path, base: np.ndarray, metric: str, threads: int = 1) -> None:
        self.index = ngtpy.Index(str(folder / "index"), read_only=True)

    def set_beam(self, beam: float) -> None:
        self.index.set(epsilon=beam)

    def search(self, query: np.ndarray) -> np.ndarray:
        return self.index.search(query, K, with_distance=False)

    def batch(self, queries: np.ndarray, threads: int) -> list[np.ndarray]:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(self.search, queries))
