"""Rows like embeddings, the exact answers to searches among them, and how much of these an index finds."""

from __future__ import annotations

import numpy as np

from nearrow.index.hnsw import HnswIndex, Vectors, flat_search

METRICS = ["l2", "cosine", "dot"]


def draw(rows: int, dimension: int, seed: int = 0) -> np.ndarray:
    """Rows near a curved sheet of few dimensions, as embeddings are."""
    random = np.random.default_rng(seed)
    shape = np.random.default_rng(99)
    latent = random.standard_normal((rows, 8)).astype(np.float32)
    sheet = np.sin(latent @ shape.standard_normal((8, 32)).astype(np.float32)) @ shape.standard_normal(
        (32, dimension)
    ).astype(np.float32)
    return np.ascontiguousarray(sheet + random.standard_normal((rows, dimension)) * 0.05, np.float32)


def reference(rows: np.ndarray, query: np.ndarray, metric: str) -> np.ndarray:
    x, q = rows.astype(np.float64), query.astype(np.float64)
    if metric == "l2":
        return ((x - q) ** 2).sum(1)
    if metric == "dot":
        return -(x @ q)
    return 1 - (x @ q) / (np.linalg.norm(x, axis=1) * np.linalg.norm(q))


def recall(found: np.ndarray, true: np.ndarray) -> float:
    return float(np.mean([len(set(a[a >= 0]) & set(b)) / len(b) for a, b in zip(found, true, strict=True)]))


def by_distance(index: HnswIndex, rows: np.ndarray, queries: np.ndarray, k: int, **options: object) -> float:
    """The share of hits at least as near as the true k-th: fair where distances tie."""
    true = flat_search(Vectors(rows), index.metric, queries, k)[1]
    found = index.search(queries, k, **options)[1]  # type: ignore[arg-type]
    slack = 1e-6 * np.abs(true[:, -1:]) + 1e-9
    return float(np.mean(found <= true[:, -1:] + slack))
