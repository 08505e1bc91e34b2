"""Nearrow's bare index: vectors stay where they are (a mapped .npy), graph and codes are one mapped file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from benchmarks.engines import BEAMS, Engine, K
from nearrow import HnswIndex


class Nearrow(Engine):
    package = "nearrow"
    beams = tuple(sorted({*BEAMS, 5, 6, 8, 14, 28, 56, 448}))
    parameters: ClassVar[dict[str, Any]] = {"m": 16, "ef_construction": "its default"}

    def __init__(self, codes: int | str | None = "auto") -> None:
        self.codes = codes

    def start(self, folder: Path, dimension: int, metric: str, rows: int, threads: int) -> None:
        self.metric, self.threads = metric, threads

    def add(self, vectors: np.ndarray, first: int) -> None:
        self.index = HnswIndex.build(vectors, metric=self.metric, codes=self.codes, threads=self.threads, seed=0)

    def save(self, folder: Path) -> None:
        self.index.save(folder / "index")

    def open(self, folder: Path, base: np.ndarray, metric: str, threads: int = 1) -> None:
        self.index = HnswIndex.open(folder / "index", base)

    def set_beam(self, beam: int) -> None:
        self.beam = beam

    def search(self, query: np.ndarray) -> np.ndarray:
        return self.index.search(query, K, ef_search=self.beam)[0]

    def batch(self, queries: np.ndarray, threads: int) -> np.ndarray:
        return self.index.search(queries, K, ef_search=self.beam, threads=threads)[0]

    def counters(self, queries: np.ndarray) -> dict[str, float]:
        counted = self.index.graph.search(queries, K, ef_search=self.beam, counters=True)[3][:, :3].mean(axis=0)
        return dict(zip(("hops", "code_distances", "exact_distances"), counted.tolist(), strict=True))

    def statistics(self) -> dict[str, Any]:
        return {**self.index.stats(), "nbytes": self.index.nbytes}
