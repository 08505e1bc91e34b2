"""Synthetic sets: what million-row and unequal-norm data can be made from a seed alone?

Embeddings of real things fill few of their dimensions: they lie near curved sheets of 10–30 dimensions, in clumps of
unequal size. `manifold` draws such data; its defaults were tuned so that one million rows are about as hard for hnswlib
(M=16, efConstruction=200) as the set of that size in the feasibility study (docs/benchmarks.md has the figures).
Every block of rows has its own random stream, so any part of a set can be drawn again without the rest.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

BLOCK_ROWS = 50_000


def manifold(
    rows: int,
    dimension: int,
    *,
    seed: int,
    stream: int = 0,
    clusters: int = 400,
    decay: float = 0.5,
    intrinsic: int = 20,
    curvature: float = 0.5,
    spread: float = 1.0,
    noise: float = 0.02,
) -> np.ndarray:
    """Rows [rows, dimension] float32 near `clusters` curved sheets of `intrinsic` dimensions.

    `stream` draws other rows from the same sheets: 0 is the base, 1 the queries.
    """
    out = np.empty((rows, dimension), np.float32)
    for start, block in _manifold_blocks(
        rows, dimension, seed, stream, clusters, decay, intrinsic, curvature, spread, noise
    ):
        out[start : start + len(block)] = block
    return out


def _manifold_blocks(
    rows: int,
    dimension: int,
    seed: int,
    stream: int,
    clusters: int,
    decay: float,
    intrinsic: int,
    curvature: float,
    spread: float,
    noise: float,
) -> Iterator[tuple[int, np.ndarray]]:
    shape = np.random.default_rng([seed, 0])
    centres = shape.standard_normal((clusters, dimension)).astype(np.float32) * (spread / np.sqrt(dimension))
    scale = (np.arange(1, intrinsic + 1) ** -decay).astype(np.float32)  # a few long directions, many short ones
    scale /= np.linalg.norm(scale)
    sheets = shape.standard_normal((clusters, intrinsic, dimension)).astype(np.float32) / np.sqrt(dimension)
    bends = shape.standard_normal((clusters, intrinsic, dimension)).astype(np.float32) / np.sqrt(dimension)
    weights = shape.dirichlet(np.full(clusters, 2.0))
    for number, start in enumerate(range(0, rows, BLOCK_ROWS)):
        draw = np.random.default_rng([seed, 1, stream, number])
        count = min(BLOCK_ROWS, rows - start)
        cluster = draw.choice(clusters, count, p=weights)
        latent = draw.standard_normal((count, intrinsic)).astype(np.float32) * scale
        block = draw.standard_normal((count, dimension)).astype(np.float32) * np.float32(noise / np.sqrt(dimension))
        curved = np.sin(latent * np.float32(3.0)) * np.float32(curvature)
        for label in np.unique(cluster):
            at = np.flatnonzero(cluster == label)
            block[at] += centres[label] + latent[at] @ sheets[label] + (curved[at] * scale) @ bends[label]
        yield start, block


def lognormal_norms(directions: np.ndarray, *, seed: int, sigma: float) -> np.ndarray:
    """The same directions with norms e^(sigma·N(0,1)): popularity, as items of a matrix factorisation have it."""
    norms = np.exp(np.random.default_rng(seed).standard_normal(len(directions)) * sigma).astype(np.float32)
    return np.ascontiguousarray(directions * norms[:, None])
