"""Synthetic sets: what million-row and unequal-norm data can be made from a seed alone?

Embeddings of real things fill few of their dimensions: they lie near curved sheets of 10–30 dimensions, in clumps of
unequal size. `manifold` draws such data; its defaults were tuned so that one million rows are about as hard for hnswlib
(M=16, efConstruction=200) as the set of that size in the feasibility study (docs/benchmarks.md has the figures).
Every block of rows has its own random stream, so any part of a set can be drawn again without the rest.
"""

from __future__ import annotations

import numpy as np

BLOCK_ROWS = 50_000


def manifold(
    rows: int,
    dimension: int,
    *,
    seed: int,
    stream: int = 0,
    intrinsic: int = 13,
    clusters: int = 200,
    spread: float = 1.0,
    curvature: float = 0.5,
    noise: float = 0.1,
) -> np.ndarray:
    """Rows [rows, dimension] float32 near one curved sheet of `intrinsic` dimensions, in overlapping clumps upon it.

    `stream` draws other rows from the same sheet: 0 is the base, 1 the queries.
    """
    out = np.empty((rows, dimension), np.float32)
    shape = np.random.default_rng([seed, 0])
    centres = shape.standard_normal((clusters, intrinsic)).astype(np.float32) * np.float32(spread)
    widths = shape.uniform(0.5, 1.0, clusters).astype(np.float32)
    weights = shape.dirichlet(np.full(clusters, 2.0))
    plane = shape.standard_normal((intrinsic, dimension)).astype(np.float32) / np.float32(np.sqrt(dimension))
    waves = shape.standard_normal((intrinsic, 4 * intrinsic)).astype(np.float32) / np.float32(np.sqrt(intrinsic))
    bends = shape.standard_normal((4 * intrinsic, dimension)).astype(np.float32)
    bends *= np.float32(curvature / np.sqrt(4 * dimension))
    for number, start in enumerate(range(0, rows, BLOCK_ROWS)):
        draw = np.random.default_rng([seed, 1, stream, number])
        count = min(BLOCK_ROWS, rows - start)
        clump = draw.choice(clusters, count, p=weights)
        latent = centres[clump] + draw.standard_normal((count, intrinsic), np.float32) * widths[clump, None]
        block = out[start : start + count]
        np.matmul(latent, plane, out=block)
        block += np.sin(latent @ waves) @ bends
        block += draw.standard_normal((count, dimension), np.float32) * np.float32(noise / np.sqrt(dimension))
    return out


def lognormal_norms(directions: np.ndarray, *, seed: int, sigma: float) -> np.ndarray:
    """The same directions with norms e^(sigma·N(0,1)): popularity, as items of a matrix factorisation have it."""
    norms = np.exp(np.random.default_rng(seed).standard_normal(len(directions)) * sigma).astype(np.float32)
    return np.ascontiguousarray(directions * norms[:, None])
