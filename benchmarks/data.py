"""Data: which vectors, queries and exact answers does a benchmark use?

Every set is base [n, d] float32, queries [1000, d] float32 and `truth`: the exact nearest 100 rows of each query with
their distances (l2: squared; cosine: 1 - cosine; dot: minus the product), by blocked matrix products in float32 and a
float64 finish. Made once and kept under NEARROW_BENCH_CACHE (default ~/.cache/nearrow-bench) as .npy files, which
every engine maps.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import pages
from benchmarks.synthetic import lognormal_norms, manifold

TRUTH_DEPTH = 100
QUERIES = 1000


def cache_folder() -> Path:
    folder = Path(os.environ.get("NEARROW_BENCH_CACHE", "~/.cache/nearrow-bench")).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def data_folder() -> Path:
    return Path(os.environ.get("NEARROW_DATA", Path(__file__).parents[2] / "shared" / "data"))


@dataclass(frozen=True)
class Dataset:
    """One set of vectors; the arrays are mapped from the cache when first asked for."""

    name: str
    metric: str
    folder: Path

    @cached_property
    def base(self) -> np.ndarray:
        return np.load(self.folder / "base.npy", mmap_mode="r")

    @cached_property
    def queries(self) -> np.ndarray:
        return np.load(self.folder / "queries.npy")

    @cached_property
    def truth(self) -> np.ndarray:
        return np.load(self.folder / "truth.npy")

    @cached_property
    def truth_distances(self) -> np.ndarray:
        return np.load(self.folder / "truth_distances.npy")


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    values = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(values.reshape(len(column), -1), np.float32)


def wordnet_table(kind: str = "base") -> pa.Table:
    return pq.read_table(data_folder() / "wordnet" / f"{kind}.parquet")


def _wordnet() -> tuple[np.ndarray, np.ndarray]:
    return _floats(wordnet_table()["vector"]), _floats(wordnet_table("queries")["vector"])[:QUERIES]


def _fashion_mnist() -> tuple[np.ndarray, np.ndarray]:
    arrays = np.load(data_folder() / "fashion-mnist" / "fashion-mnist.npz")
    return arrays["base"].astype(np.float32), arrays["queries"][:QUERIES].astype(np.float32)


def _wordnet_dot() -> tuple[np.ndarray, np.ndarray]:
    base, queries = _wordnet()
    return lognormal_norms(base, seed=11, sigma=0.25), queries


def _synthetic(rows: int) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    def make() -> tuple[np.ndarray, np.ndarray]:
        return manifold(rows, 128, seed=7), manifold(QUERIES, 128, seed=7, stream=1)

    return make


def _tiny() -> tuple[np.ndarray, np.ndarray]:
    return manifold(5_000, 32, seed=7, intrinsic=8), manifold(100, 32, seed=7, intrinsic=8, stream=1)


SOURCES: dict[str, tuple[str, Callable[[], tuple[np.ndarray, np.ndarray]], str]] = {
    "wordnet": ("cosine", _wordnet, "WordNet glosses, MiniLM, 115,659 × 384, cosine"),
    "fashion-mnist": ("l2", _fashion_mnist, "Fashion-MNIST, 60,000 × 784, l2"),
    "synthetic-1m": ("l2", _synthetic(1_000_000), "synthetic curved sheet of 13 dimensions, 1,000,000 × 128, l2"),
    "wordnet-dot": ("dot", _wordnet_dot, "WordNet glosses × log-normal norms (σ = 0.25), 115,659 × 384, dot"),
    "tiny": ("l2", _tiny, "synthetic, 5,000 × 32, l2: only to try the harness"),
}


def load(name: str, cache: Path | None = None) -> Dataset:
    """The set, made and kept in the cache on first use."""
    metric, make, _ = SOURCES[name]
    dataset = Dataset(name, metric, (cache or cache_folder()) / "data" / name)
    if not (dataset.folder / "truth.npy").exists():
        dataset.folder.mkdir(parents=True, exist_ok=True)
        base, queries = make()
        np.save(dataset.folder / "base.npy", base)
        pages.write_anew(dataset.folder / "base.npy")  # in large pages, for its rows are read here and there
        np.save(dataset.folder / "queries.npy", queries)
        truth, distances = exact_nearest(base, queries, metric, TRUTH_DEPTH)
        np.save(dataset.folder / "truth_distances.npy", distances)
        np.save(dataset.folder / "truth.npy", truth)
    return dataset


def distances_to(base: np.ndarray, query: np.ndarray, rows: np.ndarray, metric: str) -> np.ndarray:
    """Exact distances in float64 of one query to some rows."""
    vectors = np.asarray(base[rows], np.float64)
    query = np.asarray(query, np.float64)
    if metric == "l2":
        return ((vectors - query) ** 2).sum(axis=1)
    products = vectors @ query
    if metric == "dot":
        return -products
    return 1.0 - products / (np.linalg.norm(vectors, axis=1) * np.linalg.norm(query))


def exact_nearest(
    base: np.ndarray, queries: np.ndarray, metric: str, k: int, *, accept: np.ndarray | None = None, block: int = 50_000
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest rows of each query (row numbers, distances), nearest first; `accept` is a boolean mask of rows.

    Fewer than k rows: the rest is -1 and infinity. float32 products choose 2k candidates, float64 orders them.
    """
    depth = 2 * k
    unit = queries / np.linalg.norm(queries, axis=1, keepdims=True) if metric == "cosine" else queries
    kept_keys: np.ndarray | None = None
    kept_rows: np.ndarray | None = None
    for start in range(0, len(base), block):
        rows = np.asarray(base[start : start + block])
        names = np.arange(start, start + len(rows))
        if accept is not None:
            passing = accept[start : start + block]
            rows, names = rows[passing], names[passing]
        if not len(rows):
            continue
        if metric == "cosine":
            rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        keys = -(unit @ rows.T)
        if metric == "l2":
            keys = 2 * keys + (rows * rows).sum(axis=1)
        names = np.broadcast_to(names, keys.shape)
        if kept_keys is not None and kept_rows is not None:
            keys, names = np.hstack([kept_keys, keys]), np.hstack([kept_rows, names])
        if keys.shape[1] > depth:
            best = np.argpartition(keys, depth - 1, axis=1)[:, :depth]
            keys, names = np.take_along_axis(keys, best, 1), np.take_along_axis(names, best, 1)
        kept_keys, kept_rows = keys, names
    nearest = np.full((len(queries), k), -1, np.int64)
    distances = np.full((len(queries), k), np.inf)
    if kept_rows is None:
        return nearest, distances
    for index, query in enumerate(queries):
        exact = distances_to(base, query, kept_rows[index], metric)
        order = np.lexsort((kept_rows[index], exact))[:k]
        nearest[index, : len(order)], distances[index, : len(order)] = kept_rows[index][order], exact[order]
    return nearest, distances
