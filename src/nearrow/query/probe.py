"""Probe: what does the search of each part cost? Searched once more with counters, for `explain` only."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from nearrow.hits import Hits
from nearrow.index.graph import GIVEN_UP, WAYS
from nearrow.query.accept import Accept
from nearrow.query.explanation import Explanation
from nearrow.query.nearest import search_part
from nearrow.query.planner import EXACT, RANGE, SKIP, WORDS, PartPlan, make_plan
from nearrow.query.query import Vector
from nearrow.query.request import Request
from nearrow.segment.view import Part, View


def explain(
    request: Request, view: View, metric: str, accept: Sequence[Accept], seconds: Mapping[str, float], hits: Hits
) -> Explanation:
    """The plan with what each part counted, and of each hit what its score is made of."""
    plan = make_plan(request, metric, view.parts, accept)
    vector = request.walked_vector(metric)
    if vector is not None:
        parts = [
            replace(planned, measured=_measured(planned, part, metric, vector, request, allowed))
            for planned, part, allowed in zip(plan.parts, view.parts, accept, strict=True)
        ]
        plan = replace(plan, parts=tuple(parts))
    scores = {"id": hits.ids, "distance": hits.distances, "score": hits.scores, **hits.parts}
    return Explanation(plan, seconds, scores)


def _measured(
    planned: PartPlan, part: Part, metric: str, vector: Vector, request: Request, allowed: Accept
) -> Mapping[str, Any]:
    if planned.strategy in (SKIP, WORDS):
        return {}
    began = time.perf_counter()
    query = request.query
    if planned.strategy in (EXACT, RANGE) or part.graph is None:
        search_part(part, metric, vector[None, :], query, allowed, 1)
        return {"exact_distances": allowed.count, "seconds": time.perf_counter() - began}
    *_, counters = part.graph.search(
        vector[None, :],
        min(query.k or 1, allowed.count),
        ef_search=query.ef_search,
        target_recall=query.target_recall,
        selection=allowed.selection(part.graph),
        counters=True,
    )
    seconds = time.perf_counter() - began
    hops, codes, exact, way = counters[0].tolist()
    return {
        "way": WAYS[way % GIVEN_UP] + (", given up for a scan" if way >= GIVEN_UP else ""),
        "hops": hops,
        "code_distances": codes,
        "exact_distances": exact,
        "seconds": seconds,
    }
