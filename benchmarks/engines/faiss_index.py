"""faiss: HNSW over float32 (flat), over 8-bit codes (sq8), and over 8-bit codes with an exact re-rank (sq8-refine)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import faiss
import numpy as np

from benchmarks.engines import Engine, K


class Faiss(Engine):
    package = "faiss-cpu"
    incremental = True
    parameters: ClassVar[dict[str, Any]] = {"M": 16, "efConstruction": 200, "k_factor (refine)": 2}

    def __init__(self, kind: str = "flat") -> None:
        self.kind = kind

    def start(self, folder: Path, dimension: int, metric: str, rows: int, threads: int) -> None:
        faiss.omp_set_num_threads(threads)
        self.metric = metric
        measure = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
        if self.kind == "flat":
            self.index = faiss.IndexHNSWFlat(dimension, 16, measure)
        else:
            self.index = faiss.IndexHNSWSQ(dimension, faiss.ScalarQuantizer.QT_8bit, 16, measure)
        self.index.hnsw.efConstruction = 200
        if self.kind == "sq8-refine":
            self.walk = self.index
            self.index = faiss.IndexRefineFlat(self.walk)
        self._find_graph()

    def _find_graph(self) -> None:
        if self.kind == "sq8-refine":
            self.index.k_factor = 2
            self.graph = faiss.downcast_index(self.index.base_index).hnsw
        else:
            self.graph = self.index.hnsw

    def add(self, vectors: np.ndarray, first: int) -> None:
        vectors = self._prepared(vectors)
        if not self.index.is_trained:
            self.index.train(vectors)
        self.index.add(vectors)

    def _prepared(self, vectors: np.ndarray) -> np.ndarray:
        if self.metric != "cosine":
            return np.ascontiguousarray(vectors)
        return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)

    def save(self, folder: Path) -> None:
        faiss.write_index(self.index, str(folder / "index"))

    def open(self, folder: Path, base: np.ndarray, metric: str, threads: int = 1) -> None:
        faiss.omp_set_num_threads(threads)
        self.metric = metric
        self.index = faiss.read_index(str(folder / "index"))
        self._find_graph()

    def set_beam(self, beam: int) -> None:
        self.graph.efSearch = beam

    def search(self, query: np.ndarray) -> np.ndarray:
        return self.index.search(self._prepared(query)[None], K)[1][0]

    def batch(self, queries: np.ndarray, threads: int) -> np.ndarray:
        faiss.omp_set_num_threads(threads)
        found = self.index.search(self._prepared(queries), K)[1]
        faiss.omp_set_num_threads(1)
        return found
