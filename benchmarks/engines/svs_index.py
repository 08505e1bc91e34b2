"""Scalable Vector Search: Vamana over float32 (its LVQ codes refuse other makers' processors)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import svs

from benchmarks.engines import Engine, K


class Svs(Engine):
    package = "scalable-vs"
    parameters: ClassVar[dict[str, Any]] = {"graph_max_degree": 32, "window_size": 128, "alpha": "1.2 (l2), 0.95 (dot)"}

    def start(self, folder: Path, dimension: int, metric: str, rows: int, threads: int) -> None:
        self.metric, self.threads = metric, threads

    def add(self, vectors: np.ndarray, first: int) -> None:
        vectors = np.ascontiguousarray(vectors)
        if self.metric == "cosine":
            vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        alpha = 0.95 if self.metric == "dot" else 1.2
        settings = svs.VamanaBuildParameters(graph_max_degree=32, window_size=128, alpha=alpha)
        self.index = svs.Vamana.build(settings, vectors, self._distance(self.metric), num_threads=self.threads)

    @staticmethod
    def _distance(metric: str) -> Any:
        return svs.DistanceType.MIP if metric == "dot" else svs.DistanceType.L2

    def save(self, folder: Path) -> None:
        self.index.save(*(str(folder / part) for part in ("config", "graph", "data")))

    def open(self, folder: Path, base: np.ndarray, metric: str, threads: int = 1) -> None:
        graph, data = (
            svs.GraphLoader(str(folder / "graph")),
            svs.VectorDataLoader(str(folder / "data"), svs.DataType.float32),
        )
        self.index = svs.Vamana(str(folder / "config"), graph, data, self._distance(metric), num_threads=threads)

    def set_beam(self, beam: int) -> None:
        self.index.search_window_size = beam

    def search(self, query: np.ndarray) -> np.ndarray:
        return self.index.search(query[None], K)[0][0].astype(np.int64)

    def batch(self, queries: np.ndarray, threads: int) -> np.ndarray:
        self.index.num_threads = threads
        found = self.index.search(queries, K)[0].astype(np.int64)
        self.index.num_threads = 1
        return found
