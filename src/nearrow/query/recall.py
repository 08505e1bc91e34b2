"""Recall: how many of the true nearest rows does a search find, on this data?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nearrow.query.accept import Accept, matching_positions
from nearrow.query.nearest import Found, search
from nearrow.query.query import VectorQuery
from nearrow.segment.view import View


class Recall(float):
    """The mean recall@k, as a float, with what it was measured on.

    k: neighbours asked for. queries: rows whose own vectors were searched (each left out of its own answer).
    worst: the smallest recall of a single query. filtered: how many rows passed the filter.
    """

    k: int
    queries: int
    worst: float
    filtered: int

    def __new__(cls, value: float, *, k: int, queries: int, worst: float, filtered: int) -> Recall:
        made = super().__new__(cls, value)
        made.k, made.queries, made.worst, made.filtered = k, queries, worst, filtered
        return made

    def __repr__(self) -> str:
        return (
            f"Recall({float(self):.4f}, k={self.k}, queries={self.queries}, worst={self.worst:.2f}, "
            f"filtered={self.filtered})"
        )


def measure_recall(
    view: View, metric: str, accept: Sequence[Accept], query: VectorQuery, sample: int, seed: int, threads: int
) -> Recall:
    """Search `sample` of the accepted rows' vectors as `query` says, and exactly; compare by distance."""
    k = query.k or 10
    positions = [matching_positions(allowed, part.rows) for part, allowed in zip(view.parts, accept, strict=True)]
    owner = np.concatenate(
        [np.empty(0, np.int32), *(np.full(len(found), index, np.int32) for index, found in enumerate(positions))]
    )
    position = np.concatenate([np.empty(0, np.int64), *positions])
    if len(owner) == 0:
        return Recall(1.0, k=k, queries=0, worst=1.0, filtered=0)
    chosen = np.random.default_rng(seed).permutation(len(owner))[:sample]
    column = view.take(owner[chosen], position[chosen], ["vector"]).column("vector").combine_chunks()
    queries = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32).reshape(len(chosen), -1)
    deeper = VectorQuery(k + 1, query.ef_search, query.target_recall)
    exact = search(view, metric, queries, VectorQuery(k + 1, exact=True), accept, threads=threads)
    found = search(view, metric, queries, deeper, accept, threads=threads)
    recalls = [
        _recall(truth, answer, owner[row], position[row], k)
        for truth, answer, row in zip(exact, found, chosen.tolist(), strict=True)
    ]
    return Recall(float(np.mean(recalls)), k=k, queries=len(recalls), worst=float(min(recalls)), filtered=len(owner))


def _recall(truth: Found, answer: Found, owner: int, position: int, k: int) -> float:
    """Hits that are no farther than the true k-th; by distance, so that equal rows may stand for each other."""
    true = _others(truth, owner, position)[:k]
    if len(true) == 0:
        return 1.0
    return float(np.count_nonzero(_others(answer, owner, position)[:k] <= true[-1])) / len(true)


def _others(found: Found, owner: int, position: int) -> np.ndarray:
    others: np.ndarray = found.distance[(found.owner != owner) | (found.position != position)]
    return others
