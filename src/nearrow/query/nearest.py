"""Nearest: which rows of a view are nearest to each query?

Each part answers for itself: by its graph if it has one, else by an exact scan; then the answers are merged by
(distance, row number). Every part returns min(k, rows that may be returned), so the merged answer has as many, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nearrow.index.hnsw import Graph, flat_range, flat_search
from nearrow.query.accept import Accept
from nearrow.query.query import Vector, VectorQuery
from nearrow.query.threads import each
from nearrow.segment.rows import Positions
from nearrow.segment.view import Part, View


@dataclass(slots=True)
class Found:
    """Rows found for one query, nearest first: part, position in it, distance. Arrays of one length, never changed."""

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
    if len(queries) == 1:
        return [search_one(view, metric, queries[0], query, accept)]
    per_part = [
        search_part(part, metric, queries, query, allowed, threads)
        for part, allowed in zip(view.parts, accept, strict=True)
    ]
    if len(per_part) == 1:
        return [found.first(query.k) for found in per_part[0]]
    return [_merge(view, [answers[index] for answers in per_part], query.k) for index in range(len(queries))]


def search_one(view: View, metric: str, vector: Vector, query: VectorQuery, accept: Sequence[Accept]) -> Found:
    """The answer for one vector [d], with as little as possible around the search itself."""
    parts = view.parts
    if len(parts) == 1:
        return _first_of_part(parts[0], metric, vector, query, accept[0])
    answers = [_first_of_part(part, metric, vector, query, one) for part, one in zip(parts, accept, strict=True)]
    return _merge(view, answers, query.k)


def _first_of_part(part: Part, metric: str, vector: Vector, query: VectorQuery, allowed: Accept) -> Found:
    k, graph = query.walk_k, part.graph
    if k is None or graph is None or allowed.count == 0:
        return search_part(part, metric, vector[None, :], query, allowed, 1)[0].first(query.k)
    positions, distances = walk_one(graph, vector, k, query, allowed)
    return Found(owner_zero(len(positions)), positions, distances)


def walk_one(
    graph: Graph, vector: Vector, k: int, query: VectorQuery, allowed: Accept
) -> tuple[Positions, npt.NDArray[np.float32]]:
    """(positions, distances) of the min(k, accepted) rows nearest to one vector [d], by a walk."""
    selection = None if allowed.bits is None else allowed.selection(graph)
    wanted = k if k < allowed.count else allowed.count
    return graph.search_one(vector, wanted, query.ef_search, query.target_recall, selection)


def search_part(
    part: Part, metric: str, queries: Vector, query: VectorQuery, allowed: Accept, threads: int
) -> list[Found]:
    """The nearest rows of one part for each row of `queries`: min(k, accepted), or all within the distance."""
    if query.within is not None:
        return _within(part, metric, queries, query, query.within, allowed, threads)
    k = min(query.k or 1, allowed.count)
    if k == 0:
        return [NOTHING_FOUND] * len(queries)
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
            selection=allowed.selection(part.graph, len(queries)),
            threads=threads,
        )
    if len(queries) == 1:  # every search gives min(k, accepted)
        return [Found(owner_zero(k), positions[0], distances[0])]
    owner = owner_zero(k)
    return [Found(owner[:n], positions[i, :n], distances[i, :n]) for i, n in enumerate(counts.tolist())]


def _within(
    part: Part, metric: str, queries: Vector, query: VectorQuery, within: float, allowed: Accept, threads: int
) -> list[Found]:
    """A walk to the nearest k is enough when all of them lie within the distance; else every row is measured."""
    if allowed.count == 0:
        return [NOTHING_FOUND] * len(queries)
    answers: list[Found | None] = [None] * len(queries)
    if query.k is not None and part.graph is not None and not query.exact:
        nearest = search_part(part, metric, queries, query.unbounded, allowed, threads)
        answers = [found if found.distance[-1] <= within else None for found in nearest]
    unanswered = [index for index, found in enumerate(answers) if found is None]
    measured = each(
        lambda index: _range(part, metric, queries[index], within, allowed),
        unanswered,
        threads if len(unanswered) > 1 else 1,
    )
    for index, found in zip(unanswered, measured, strict=True):
        answers[index] = found
    return [NOTHING_FOUND if found is None else found for found in answers]


def _range(part: Part, metric: str, vector: Vector, within: float, allowed: Accept) -> Found:
    positions, distances = flat_range(part.vectors, metric, vector, within, accept=allowed.bits)
    return Found(owner_zero(len(positions)), positions, distances)


@lru_cache(maxsize=256)
def owner_zero(count: int) -> npt.NDArray[np.int32]:
    """The owners of so many rows of the first part: read-only, and of no size in memory."""
    return np.broadcast_to(np.int32(0), count)


def _merge(view: View, answers: Sequence[Found], k: int | None) -> Found:
    if not answers:
        return NOTHING_FOUND
    if sum(len(found) > 0 for found in answers) <= 1:
        return _only(answers, k)
    owner = np.concatenate([np.full(len(found), index, np.int32) for index, found in enumerate(answers)])
    position = np.concatenate([found.position for found in answers])
    distance = np.concatenate([found.distance for found in answers])
    rows = np.concatenate(
        [part.row_numbers_at(found.position) for part, found in zip(view.parts, answers, strict=True)]
    )
    order = np.lexsort((rows, distance))
    return Found(owner, position, distance).pick(order if k is None else order[:k])


def _only(answers: Sequence[Found], k: int | None) -> Found:
    """The answers when only one part has any: nothing to be merged."""
    for index, found in enumerate(answers):
        if len(found):
            first = found.first(k)
            return Found(np.full(len(first), index, np.int32), first.position, first.distance)
    return NOTHING_FOUND


NOTHING_FOUND = Found(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float32))
