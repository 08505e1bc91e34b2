"""Negatives: what is near to the query and far from the examples that were rejected?

The rank is distance(q, x) - w · mean over j of distance(n_j, x), smaller first. With w below 1 this *is* a nearest
neighbour search, with another query vector, so nothing has to be over-fetched and the result is exact where the index is:

    cosine, unit vectors    (1 - q·x) - w (1 - n̄·x)          = const - (q - w n̄)·x
    dot                     -q·x + w n̄·x                     = -(q - w n̄)·x
    l2                      |q - x|² - w mean |n_j - x|²      = (1 - w) |x - (q - w n̄) / (1 - w)|² + const

where n̄ is the mean of the negatives (of their unit vectors under cosine). Where there is no such vector (l2 with w near 1
or above, or q = w n̄ under cosine) every accepted row is ranked exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearrow.errors import InvalidArgumentError
from nearrow.index.hnsw import Vectors, exact_distances
from nearrow.query.query import Vector
from nearrow.segment.rows import Positions

L2_WEIGHT_MAX = 0.8
"""Beyond it the moved query lies so far outside that float32 distances to it hardly tell the rows apart."""


@dataclass(frozen=True)
class Negatives:
    """Examples to stay away from: float32 [n, d], and how much that counts."""

    vectors: Vector
    weight: float

    def __post_init__(self) -> None:
        weight = self.weight
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight < float("inf"):
            raise InvalidArgumentError(f"negative_weight must be a number of at least 0, not {weight!r}")

    def moved_query(self, query: Vector, metric: str) -> Vector | None:
        """The vector whose nearest rows are the answer; None if only ranking every row will do."""
        positive, negative = query.astype(np.float64), self.vectors.astype(np.float64)
        if metric == "cosine":
            positive = positive / np.linalg.norm(positive)
            negative = negative / np.linalg.norm(negative, axis=1, keepdims=True)
        moved = positive - self.weight * negative.mean(axis=0)
        if metric == "l2":
            if self.weight > L2_WEIGHT_MAX:
                return None
            moved = moved / (1 - self.weight)
        elif metric == "cosine" and float(np.linalg.norm(moved)) < 1e-6:
            return None
        found: Vector = moved.astype(np.float32)
        return found

    def distances(
        self, vectors: Vectors, metric: str, query: Vector, positions: Positions
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """(distance to the query, mean distance to the negatives) of each position."""
        to_query = exact_distances(vectors, metric, query, positions)
        to_each = [exact_distances(vectors, metric, negative, positions) for negative in self.vectors]
        return to_query, np.asarray(np.mean(to_each, axis=0, dtype=np.float64), np.float32)
