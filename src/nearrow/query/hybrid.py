"""Hybrid: what do vectors and words find together?

Each side looks `depth` rows deep, both at once unless the vectors take less time than waking a thread. A row that only
one side returned gets the other side's true score (an exact distance; BM25, 0 where it does not match). RRF adds up ranks
within the depth, so one round decides it, and the scores that only the hits show are computed when they are first read.
Fusions of scores complete all candidates first, and look deeper when a row further down could still enter the top k.
Within a distance, both sides see only the rows within it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nearrow.index.hnsw import exact_distances
from nearrow.query.fusion import RRF, Fusion, fuse, fuse_ranks
from nearrow.query.nearest import search_one
from nearrow.query.query import Vector, VectorQuery
from nearrow.query.ranked import NOTHING, Ranked
from nearrow.query.ranking import Floats, Fused, Ranking, similarity
from nearrow.query.text_search import TextSearch

DEPTH = 100
DEPTH_MAX = 400
WALKED_ROWS = 2_000
"""About so many rows does a walk of a graph look at."""
QUICK_NUMBERS = 100_000
"""Vectors of so many numbers are compared in less time than another thread takes to wake up."""
_pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="nearrow-hybrid")

Array = npt.NDArray[Any]


class LateParts(Mapping[str, Array]):
    """The parts of the hits' scores; those given as functions are computed when they are first read."""

    def __init__(self, parts: dict[str, Array | Callable[[], Array]]) -> None:
        self._parts = parts

    def __getitem__(self, name: str) -> Array:
        part = self._parts[name]
        if callable(part):
            part = self._parts[name] = part()
        return part

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)


def hybrid_ranked(
    text: TextSearch, metric: str, vector: Vector, query: VectorQuery, fusion: Fusion, limit: int
) -> Ranked:
    """The best `limit` rows by the fused score."""
    if query.within is not None:
        inside = _nearest(text, metric, vector, replace(query, k=None))
        text, query = replace(text, among=np.unique(inside.rows)), replace(query, within=None)
        fused, by_text, near = _fused(text, lambda depth: _first(inside, depth), fusion, limit, None)
    else:
        nearest = lambda depth: _nearest(text, metric, vector, replace(query, k=depth))  # noqa: E731
        fused, by_text, near = _fused(text, nearest, fusion, limit, None if _is_quick(text, query) else _pool)
    if len(fused.rows) == 0:
        return NOTHING
    owner, position = text.view.locate(fused.rows)
    vector_scores = _completed(fused.vector_scores, fused.rows, near)

    def text_scores() -> Array:
        return np.nan_to_num(_completed(fused.text_scores, fused.rows, by_text), nan=0.0).astype(np.float32)

    parts: dict[str, Array | Callable[[], Array]] = {
        "vector_score": vector_scores.astype(np.float32),
        "text_score": text_scores,
        "combined_score": fused.combined_scores,
        "vector_rank": fused.vector_ranks,
        "text_rank": fused.text_ranks,
    }
    return Ranked(
        owner,
        position,
        _distances(vector_scores, metric),
        fused.combined_scores.astype(np.float32),
        -fused.combined_scores,
        LateParts(parts),
        near.exhausted and by_text.exhausted,
    )


def _fused(
    text: TextSearch, nearest: Callable[[int], Ranking], fusion: Fusion, limit: int, pool: ThreadPoolExecutor | None
) -> tuple[Fused, Ranking, Ranking]:
    """The fused rows, and both sides with what completes their scores.

    The words are searched in the calling thread: they take longer as a rule, and so nobody waits to be woken.
    """
    depth = max(DEPTH, 2 * limit)
    while True:
        other = None if pool is None else pool.submit(nearest, depth)
        rows, scores = text.search(depth)
        near = nearest(depth) if other is None else other.result()
        by_text = Ranking(rows, scores, text.scores_of, exhausted=len(rows) < depth)
        if isinstance(fusion, RRF):
            return fuse_ranks(near, by_text, fusion, limit), by_text, near
        fused = fuse(near, by_text, fusion, limit)
        if fused.settled or depth >= DEPTH_MAX:
            return fused, by_text, near
        depth *= 4


def _is_quick(text: TextSearch, query: VectorQuery) -> bool:
    """Whether the vector side compares few vectors only."""
    numbers = 0
    for part, allowed in zip(text.view.parts, text.accept, strict=True):
        walks = part.graph is not None and not query.exact
        numbers += (min(allowed.count, WALKED_ROWS) if walks else allowed.count) * part.vectors.dimension
    return numbers <= QUICK_NUMBERS


def _completed(scores: Floats, rows: npt.NDArray[np.uint64], side: Ranking) -> Floats:
    """Scores with those that are missing asked of their side; a side that returned all it has knows no others."""
    missing = np.isnan(scores)
    if side.complete is not None and not side.exhausted and missing.any():
        scores = scores.copy()
        scores[missing] = side.complete(rows[missing])
    return scores


def _nearest(text: TextSearch, metric: str, vector: Vector, query: VectorQuery) -> Ranking:
    view = text.view
    found = search_one(view, metric, vector, query, text.accept)
    rows = view.row_numbers_at(found.owner, found.position)

    def complete(others: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
        owner, position = view.locate(others)
        distances = np.empty(len(others), np.float32)
        for index in np.unique(owner):
            here = owner == index
            vectors = view.parts[int(index)].vectors
            distances[here] = exact_distances(vectors, metric, vector, position[here])
        return similarity(distances, metric)

    return Ranking(
        rows, similarity(found.distance, metric), complete, exhausted=query.k is None or len(found) < query.k
    )


def _first(ranking: Ranking, depth: int) -> Ranking:
    return replace(
        ranking, rows=ranking.rows[:depth], scores=ranking.scores[:depth], exhausted=len(ranking.rows) <= depth
    )


def _distances(scores: npt.NDArray[np.float64], metric: str) -> npt.NDArray[np.float32]:
    """The inverse of `similarity`."""
    if metric == "cosine":
        return (1.0 - scores).astype(np.float32)
    if metric == "dot":
        return (-scores).astype(np.float32)
    return (1.0 / scores - 1.0).astype(np.float32)
