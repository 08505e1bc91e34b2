"""Ranking: what did each side find, and which rows are candidates of either?

Scores here are better when larger; `similarity` turns distances into such. Pure NumPy: nothing here knows an index.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

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

    def take(self, order: npt.NDArray[np.intp]) -> Candidates:
        return Candidates(
            self.rows[order],
            self.vector_scores[order],
            self.text_scores[order],
            self.vector_ranks[order],
            self.text_ranks[order],
        )


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


def gather(vector: Ranking, text: Ranking, *, complete: bool = True) -> Candidates:
    """The union of two rankings; `complete`: with the scores that one side lacks, computed by it."""
    found = np.concatenate([np.asarray(vector.rows, np.uint64), np.asarray(text.rows, np.uint64)])
    order = np.argsort(found, kind="stable")
    ascending = found[order]
    fresh = np.ones(len(found), np.bool_)
    np.not_equal(ascending[1:], ascending[:-1], out=fresh[1:])
    rows = ascending[fresh]
    place = np.empty(len(found), np.intp)  # of each row found, in `rows`
    place[order] = np.cumsum(fresh) - 1
    vector_ranks, vector_scores = _side(vector, place[: len(vector.rows)], len(rows))
    text_ranks, text_scores = _side(text, place[len(vector.rows) :], len(rows))
    candidates = Candidates(rows, vector_scores, text_scores, vector_ranks, text_ranks)
    return completed(candidates, vector, text) if complete else candidates


def completed(candidates: Candidates, vector: Ranking, text: Ranking) -> Candidates:
    """The candidates with the true scores of the side that did not return them."""
    vector_scores = _completed(vector, candidates.rows, candidates.vector_ranks, candidates.vector_scores)
    text_scores = candidates.text_scores
    if not text.exhausted:  # else it has returned all rows that match, and no other has a score
        text_scores = _completed(text, candidates.rows, candidates.text_ranks, text_scores)
    return replace(candidates, vector_scores=vector_scores, text_scores=text_scores)


def _side(side: Ranking, place: npt.NDArray[np.intp], count: int) -> tuple[Ranks, Floats]:
    ranks = np.zeros(count, np.int64)
    scores = np.full(count, np.nan)
    ranks[place] = np.arange(1, len(place) + 1)
    scores[place] = side.scores
    return ranks, scores


def _completed(side: Ranking, rows: RowNumbers, ranks: Ranks, scores: Floats) -> Floats:
    missing = np.flatnonzero(ranks == 0)
    if side.complete is None or not len(missing):
        return scores
    whole = scores.copy()
    whole[missing] = side.complete(rows[missing])
    return whole


__all__ = ["Candidates", "Floats", "Fused", "Ranking", "Ranks", "RowNumbers", "completed", "gather", "similarity"]
