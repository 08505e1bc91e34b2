"""Vector search: which accepted rows are nearest, with negatives and within a distance if asked?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from nearrow.query.accept import Accept, matching_positions
from nearrow.query.nearest import Found, search_one
from nearrow.query.negatives import Negatives
from nearrow.query.query import Vector, VectorQuery
from nearrow.query.ranked import NOTHING, Ranked
from nearrow.query.ranking import similarity
from nearrow.segment.view import View


def nearest_ranked(
    view: View, metric: str, vector: Vector, query: VectorQuery, accept: Sequence[Accept], limit: int
) -> Ranked:
    """The nearest `limit` rows."""
    if query.k is not None:
        found = search_one(view, metric, vector, replace(query, k=limit), accept)
        return ranked_of(metric, found, exhausted=len(found) < limit)
    return ranked_of(metric, search_one(view, metric, vector, query, accept), exhausted=True)


def away_ranked(
    view: View,
    metric: str,
    vector: Vector,
    query: VectorQuery,
    negatives: Negatives,
    accept: Sequence[Accept],
    limit: int,
) -> Ranked:
    """The `limit` rows with the smallest distance(q, x) - w · mean distance(n, x)."""
    moved = negatives.moved_query(vector, metric)
    if moved is None or query.within is not None:
        found = _everything(view, accept)
    else:
        found = search_one(view, metric, moved, replace(query, k=limit), accept)
    if len(found) == 0:
        return NOTHING
    to_query = np.empty(len(found), np.float32)
    to_negatives = np.empty(len(found), np.float32)
    for index in np.unique(found.owner):
        here = found.owner == index
        vectors = view.parts[int(index)].vectors
        to_query[here], to_negatives[here] = negatives.distances(vectors, metric, vector, found.position[here])
    key = to_query.astype(np.float64) - negatives.weight * to_negatives.astype(np.float64)
    order = np.lexsort((view.row_numbers_at(found.owner, found.position), key))
    if query.within is not None:
        order = order[key[order] <= query.within]
    parts = {"query_distance": to_query, "negative_distance": to_negatives}
    whole = ranked_of(metric, found, key.astype(np.float32), exhausted=len(found) < limit)
    whole = replace(whole, key=key, parts=parts)
    return whole.pick(order[:limit])


def ranked_of(
    metric: str, found: Found, distance: npt.NDArray[np.float32] | None = None, *, exhausted: bool = False
) -> Ranked:
    """Rows found as a ranking, by their distance or by another one."""
    distance = found.distance if distance is None else distance
    score = similarity(distance, metric).astype(np.float32)
    return Ranked(found.owner, found.position, distance, score, distance.astype(np.float64), {}, exhausted)


def _everything(view: View, accept: Sequence[Accept]) -> Found:
    positions = [matching_positions(allowed, part.rows) for part, allowed in zip(view.parts, accept, strict=True)]
    owner = [np.full(len(found), index, np.int32) for index, found in enumerate(positions)]
    every = np.concatenate([np.empty(0, np.int64), *positions])
    return Found(np.concatenate([np.empty(0, np.int32), *owner]), every, np.zeros(len(every), np.float32))
