"""Narrow: which of the rows found come back, when it is not simply the first k?

Pages, groups, re-ranking and diversity all choose among rows that were found, so they are given more of them until k are
chosen or nothing more is to be found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nearrow.query.ranked import Ranked
from nearrow.query.reorder import by_diversity, by_scores
from nearrow.query.request import Request
from nearrow.segment.view import View

Fetch = Callable[[int], Ranked]
WIDEN = 4
RERANK_DEPTH = 4


def narrowed(view: View, request: Request, fetch: Fetch, hits_of: Callable[[Ranked], Any]) -> Ranked:
    """The k rows that the request asks for. `fetch(n)` gives the best n; `hits_of` shows them to a re-ranker."""
    k = request.query.k
    wanted = None if k is None else k * RERANK_DEPTH if request.reorders else k
    found = _enough(view, request, fetch, wanted)
    if request.rerank is not None and len(found):
        order, scores = by_scores(request.rerank(request, hits_of(found)), len(found))
        found = found.pick(order)
        score = scores.astype(np.float32)
        parts = {**found.parts, "rerank_score": score}
        found = Ranked(found.owner, found.position, found.distance, score, -scores, parts, found.exhausted)
    if request.diversity is not None and len(found):
        vectors = view.take(found.owner, found.position, ["vector"]).column("vector").combine_chunks()
        matrix = vectors.flatten().to_numpy(zero_copy_only=False).reshape(len(found), -1)
        found = found.pick(by_diversity(matrix, found.score, k or len(found), request.diversity))
    return found if k is None else found.pick(slice(0, k))


def _enough(view: View, request: Request, fetch: Fetch, wanted: int | None) -> Ranked:
    after = request.after
    depth = (wanted or view.count) + (after.seen if after is not None else 0)
    if request.group_by is not None:
        depth *= WIDEN
    while True:
        found = fetch(min(depth, max(view.count, 1)))
        exhausted = found.exhausted or depth >= view.count
        chosen = found
        if request.group_by is not None:  # before the page is cut out: groups are counted over all pages
            chosen = _grouped(view, chosen, request.group_by, request.group_size)
        if after is not None:
            chosen = after.rest(chosen, view)
        if exhausted or wanted is None or len(chosen) >= wanted:
            return chosen if wanted is None else chosen.pick(slice(0, wanted))
        depth *= WIDEN


def _grouped(view: View, found: Ranked, column: str, group_size: int) -> Ranked:
    """The first `group_size` rows of each value of the column; null is a value."""
    values = view.take(found.owner, found.position, [column]).column(column).to_pylist()
    counts: dict[Any, int] = {}
    keep = []
    for index, value in enumerate(values):
        key = repr(value) if isinstance(value, (list, dict)) else value
        counts[key] = counts.get(key, 0) + 1
        if counts[key] <= group_size:
            keep.append(index)
    return found.pick(np.asarray(keep, np.intp))
