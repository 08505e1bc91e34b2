"""Hybrid: what do vectors and words find together?

Both sides run in parallel, each `depth` rows deep. A row that only one side returned gets the other side's true score (an
exact distance; BM25, 0 where it does not match). RRF adds up ranks within the depth, so one round decides it, and the
scores of the k winners are completed afterwards. Fusions of scores complete all candidates first, and look deeper when a
row further down could still enter the top k.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nearrow.index.hnsw import exact_distances
from nearrow.query.fusion import RRF, Fusion, fuse
from nearrow.query.nearest import search
from nearrow.query.query import Vector, VectorQuery
from nearrow.query.ranked import NOTHING, Ranked
from nearrow.query.ranking import Floats, Ranking, similarity
from nearrow.query.text_search import TextSearch

DEPTH = 100
DEPTH_MAX = 400
_pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="nearrow-hybrid")


def hybrid_ranked(
    text: TextSearch, metric: str, vector: Vector, query: VectorQuery, fusion: Fusion, limit: int
) -> Ranked:
    """The best `limit` rows by the fused score."""
    depth = max(DEPTH, 2 * limit)
    by_rank = isinstance(fusion, RRF)
    while True:
        words = _pool.submit(text.search, depth)
        near = _nearest(text, metric, vector, query, depth)
        rows, scores = words.result()
        by_text = Ranking(rows, scores, text.scores_of, exhausted=len(rows) < depth)
        if by_rank:
            fused = fuse(replace(near, complete=None), replace(by_text, complete=None), fusion, limit)
            break
        fused = fuse(near, by_text, fusion, limit)
        if fused.settled or depth >= DEPTH_MAX:
            break
        depth *= 4
    if len(fused.rows) == 0:
        return NOTHING
    owner, position = text.view.locate(fused.rows)
    vector_scores = _completed(fused.vector_scores, fused.rows, near)
    parts: dict[str, npt.NDArray[Any]] = {
        "vector_score": vector_scores.astype(np.float32),
        "text_score": np.nan_to_num(_completed(fused.text_scores, fused.rows, by_text), nan=0.0).astype(np.float32),
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
        parts,
        near.exhausted and by_text.exhausted,
    )


def _completed(scores: Floats, rows: npt.NDArray[np.uint64], side: Ranking) -> Floats:
    """Scores with those that are missing asked of their side."""
    missing = np.isnan(scores)
    if side.complete is not None and missing.any():
        scores = scores.copy()
        scores[missing] = side.complete(rows[missing])
    return scores


def _nearest(text: TextSearch, metric: str, vector: Vector, query: VectorQuery, depth: int) -> Ranking:
    view = text.view
    found = search(view, metric, vector[None, :], replace(query, k=depth), text.accept)[0]
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
