"""Ranking: what did each side find, and which rows are candidates of either?

Scores here are better when larger; `similarity` turns distances into such. Pure NumPy: nothing here knows an index.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearrow.errors import InvalidArgumentError

RowNumbers = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]
Ranks = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Ranking:
    """What one side found: rows best first, with scores that are better when larger.

    complete: the true scores of other rows, NaN where the side has none. exhausted: no further row matches.
    """

    rows: RowNumbers
    scores: npt.NDArray[np.floating]
    complete: Callable[[RowNumbers], npt.NDArray[np.floating]] | None = None
    exhausted: bool = False


@dataclass(frozen=True)
class Candidates:
    """All rows found by either side, by row number. NaN: no score on this side. Ranks from 1; 0: not returned by it."""

    rows: RowNumbers
    vector_scores: Floats
    text_scores: Floats
    vector_ranks: Ranks
    text_ranks: Ranks

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Fused:
    """Rows in fused order; the arrays are parallel. `settled`: no row further down either ranking could still enter."""

    rows: RowNumbers
    combined_scores: Floats
    vector_scores: Floats
    text_scores: Floats
    vector_ranks: Ranks
    text_ranks: Ranks
    settled: bool


def similarity(distances: npt.NDArray[np.floating], metric: str) -> Floats:
    """Scores from distances: cosine 1 − d (the cosine), dot −d (the product), l2 1 / (1 + d)."""
    exact = np.asarray(distances, np.float64)
    if metric == "cosine":
        return 1.0 - exact
    if metric == "dot":
        return -exact
    if metric == "l2":
        return 1.0 / (1.0 + exact)
    raise InvalidArgumentError(f"unknown metric {metric!r}")


def gather(vector: Ranking, text: Ranking) -> Candidates:
    """The union of two rankings, with the scores that one side lacks completed by it."""
    rows = np.union1d(np.asarray(vector.rows, np.uint64), np.asarray(text.rows, np.uint64))
    vector_ranks, vector_scores = _side(vector, rows)
    text_ranks, text_scores = _side(text, rows)
    return Candidates(rows, vector_scores, text_scores, vector_ranks, text_ranks)


def _side(side: Ranking, rows: RowNumbers) -> tuple[Ranks, Floats]:
    ranks = np.zeros(len(rows), np.int64)
    scores = np.full(len(rows), np.nan)
    at = np.searchsorted(rows, np.asarray(side.rows, np.uint64))
    ranks[at] = np.arange(1, len(at) + 1)
    scores[at] = side.scores
    missing = np.flatnonzero(ranks == 0)
    if side.complete is not None and len(missing):
        scores[missing] = side.complete(rows[missing])
    return ranks, scores


__all__ = ["Candidates", "Floats", "Fused", "Ranking", "Ranks", "RowNumbers", "gather", "similarity"]
