"""VSAG hgraph: float32, or 8-bit codes with an exact re-rank."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyvsag

from benchmarks.engines import Engine, K


class Vsag(Engine):
    package = "pyvsag"
    parameters: ClassVar[dict[str, Any]] = {"max_degree": 32, "ef_construction": 200, "use_reorder": "with codes"}

    def __init__(self, quantization: str) -> None:
        self.quantization = quantization

    def start(self, folder: Path, dimension: int, metric: str, rows: int, threads: int) -> None:
        settings = {
            "dtype": "float32",
            "metric_type": {"l2": "l2", "cosine": "cosine", "dot": "ip"}[metric],
            "dim": dimension,
            "index_param": {
                "base_quantization_type": self.quantization,
                "max_degree": 32,
                "ef_construction": 200,
                "build_thread_count": threads,
                "use_reorder": self.quantization != "fp32",
                "precise_quantization_type": "fp32",
            },
        }
        self.index = pyvsag.Index("hgraph", json.dumps(settings))

    def add(self, vectors: np.ndarray, first: int) -> None:
        rows, dimension = vectors.shape
        flat = np.ascontiguousarray(vectors).ravel()
        self.index.build(vectors=flat, ids=np.arange(rows, dtype=np.int64), num_elements=rows, dim=dimension)

    def save(self, folder: Path) -> None:
        self.index.save(str(folder / "index"))

    def open(self, folder: Path, base: np.ndarray, metric: str, threads: int = 1) -> None:
        self.start(folder, base.shape[1], metric, len(base), threads)
        self.index.load(str(folder / "index"))

    def set_beam(self, beam: int) -> None:
        self.settings = json.dumps({"hgraph": {"ef_search": beam}})

    def search(self, query: np.ndarray) -> np.ndarray:
        return self.index.knn_search(vector=query, k=K, parameters=self.settings)[0]

    def batch(self, queries: np.ndarray, threads: int) -> list[np.ndarray]:
        with ThreadPoolExecutor(threads) as pool:  # it has no batch call for dense vectors
            return list(pool.map(self.search, queries))
