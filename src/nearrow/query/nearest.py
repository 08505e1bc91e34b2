"""Nearest: which rows of a view are nearest to each query?

Each part answers for itself: by its graph if it has one, else by an exact scan; then the answers are merged by
(distance, row number). Every part returns min(k, rows that may be returned), so the merged answer has as many, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearrow.index.hnsw import flat_range, flat_search
from nearrow.query.accept import Accept
from nearrow.query.query import Vector, VectorQuery
from nearrow.segment.rows import Positions
from nearrow.segment.view import Part, View


@dataclass(frozen=True)
class Found:
    """Rows found for one query, nearest first: part, position in it, distance. Arrays of one length."""

    owner: npt.NDArray[np.int32]
    position: Positions
    distance: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.distance)

    def first(self, k: int | None) -> Found:
        if k is None or k >= len(self):
            return self
        return Found(self.owner[:k], self.position[:k], self.distance[:k])

    def pick(self, order: npt.NDArray[np.int64]) -> Found:
        return Found(self.owner[order], self.position[order], self.distance[order])


def search(
    view: View, metric: str, queries: Vector, query: VectorQuery, accept: Sequence[Accept], *, threads: int = 1
) -> list[Found]:
    """The answer for each row of `queries` [b, d]."""
    per_part = [
        _search_part(part, metric, queries, query, allowed, threads)
        for part, allowed in zip(view.parts, accept, strict=True)
    ]
    if len(per_part) == 1:
        return [found.first(query.k) for found in per_part[0]]
    return [_merge(view, [answers[index] for answers in per_part], query.k) for index in range(len(queries))]


def _search_part(
    part: Part, metric: str, queries: Vector, query: VectorQuery, allowed: Accept, threads: int
) -> list[Found]:
    if query.within is not None:
        return [_range(part, metric, vector, query.within, allowed) for vector in queries]
    k = min(query.k or 1, allowed.count)
    if k == 0:
        return [_NOTHING] * len(queries)
    if part.graph is None or query.exact:
        positions, distances, counts = flat_search(
            part.vectors, metric, queries, k, accept=allowed.bits, threads=threads
        )
    else:
        positions, distances, counts = part.graph.search(
            queries,
            k,
            ef_search=query.ef_search,
            target_recall=query.target_recall,
            accept=allowed.bits,
            accept_count=allowed.count,
            threads=threads,
        )
    owner = np.zeros(k, np.int32)
    return [Found(owner[:n], positions[i, :n], distances[i, :n]) for i, n in enumerate(counts.tolist())]


def _range(part: Part, metric: str, vector: Vector, within: float, allowed: Accept) -> Found:
    if allowed.count == 0:
        return _NOTHING
    positions, distances = flat_range(part.vectors, metric, vector, within, accept=allowed.bits)
    return Found(np.zeros(len(positions), np.int32), positions, distances)


def _merge(view: View, answers: Sequence[Found], k: int | None) -> Found:
    if not answers:
        return _NOTHING
    owner = np.concatenate([np.full(len(found), index, np.int32) for index, found in enumerate(answers)])
    position = np.concatenate([found.position for found in answers])
    distance = np.concatenate([found.distance for found in answers])
    rows = np.concatenate(
        [part.row_numbers_at(found.position) for part, found in zip(view.parts, answers, strict=True)]
    )
    order = np.lexsort((rows, distance))
    return Found(owner, position, distance).pick(order if k is None else order[:k])


_NOTHING = Found(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float32))
