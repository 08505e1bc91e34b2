"""Flat search: which rows are nearest when every accepted row is looked at? Exact, and needs no index."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nearrow import _kernel
from nearrow.index.vectors import Bits, Floats, Vectors, metric_name, query_batch, single_query

Positions = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int32]


def flat_search(
    vectors: Vectors, metric: str, queries: Floats, k: int, *, accept: Bits | None = None, threads: int = 1
) -> tuple[Positions, Floats, Counts]:
    """Exact search by looking at every accepted row; the result has the shape of Graph.search."""
    array = query_batch(queries, vectors.dimension)
    return _kernel.flat_search(vectors.kernel, metric_name(metric), array, k, accept, threads or 0)


def flat_range(
    vectors: Vectors, metric: str, query: Floats, radius: float, *, accept: Bits | None = None
) -> tuple[Positions, Floats]:
    """Every accepted row with distance <= radius, sorted by (distance, position)."""
    return _kernel.flat_range(
        vectors.kernel, metric_name(metric), single_query(query, vectors.dimension), radius, accept
    )


def exact_distances(vectors: Vectors, metric: str, query: Floats, positions: Positions) -> Floats:
    """The exact distance to each of the positions."""
    return _kernel.exact_distances(
        vectors.kernel,
        metric_name(metric),
        single_query(query, vectors.dimension),
        np.ascontiguousarray(positions, np.int64),
    )
