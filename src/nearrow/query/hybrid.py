"""Hybrid: what do vectors and words find together?

Both sides run in parallel, each `depth` rows deep. A row that one side only returned gets the other side's true score
(an exact distance; BM25, 0 where it does not match). The depth grows until no row further down could enter the top k.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nearrow.index.hnsw import exact_distances
from nearrow.query.fusion import Fusion, fuse
from nearrow.query.nearest import search
from nearrow.query.query import Vector, VectorQuery
from nearrow.query.ranked import NOTHING, Ranked
from nearrow.query.ranking import Ranking, similarity
from nearrow.query.text_search import TextSearch

DEPTH = 100
DEPTH_MAX = 1600
_pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="nearrow-hybrid")


def hybrid_ranked(
    text: TextSearch, metric: str, vector: Vector, query: VectorQuery, fusion: Fusion, limit: int
) -> Ranked:
    """The best `limit` rows by the fused score."""
    depth = max(DEPTH, 2 * limit)
    while True:
        words = _pool.submit(text.search, depth)
        near = _nearest(text, metric, vector, replace(query, k=depth), depth)
        rows, scores = words.result()
        by_text = Ranking(rows, scores, text.scores_of, exhausted=len(rows) < depth)
        fused = fuse(near, by_text, fusion, limit)
        if fused.settled or depth >= DEPTH_MAX + 2 * limit:
            break
        depth *= 4
    if len(fused.rows) == 0:
        return NOTHING
    owner, position = text.view.locate(fused.rows)
    parts: dict[str, npt.NDArray[Any]] = {
        "vector_score": fused.vector_scores.astype(np.float32),
        "text_score": np.nan_to_num(fused.text_scores, nan=0.0).astype(np.float32),
        "combined_score": fused.combined_scores,
        "vector_rank": fused.vector_ranks,
        "text_rank": fused.text_ranks,
    }
    exhausted = near.exhausted and by_text.exhausted
    return Ranked(
        owner,
        position,
        _distances(fused.vector_scores, metric),
        fused.combined_scores.astype(np.float32),
        -fused.combined_scores,
        parts,
        exhausted,
    )


def _nearest(text: TextSearch, metric: str, vector: Vector, query: VectorQuery, depth: int) -> Ranking:
    view = text.view
    found = search(view, metric, vector[None, :], query, text.accept)[0]
    rows = view.row_numbers_at(found.owner, found.position)

    def complete(others: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
        owner, position = view.locate(others)
        distances = np.empty(len(others), np.float32)
        for index in np.unique(owner):
            here = owner == index
            vectors = view.parts[int(index)].vectors
            distances[here] = exact_distances(vectors, metric, vector, position[here])
        return similarity(distances, metric)

    return Ranking(rows, similarity(found.distance, metric), complete, exhausted=len(found) < depth)


def _distances(scores: npt.NDArray[np.float64], metric: str) -> npt.NDArray[np.float32]:
    """The inverse of `similarity`."""
    if metric == "cosine":
        return (1.0 - scores).astype(np.float32)
    if metric == "dot":
        return (-scores).astype(np.float32)
    return (1.0 / scores - 1.0).astype(np.float32)
