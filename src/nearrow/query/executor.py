"""Executor: how does a request become hits?"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from nearrow.errors import InvalidArgumentError
from nearrow.hits import Hits
from nearrow.index.text import RebuildNeededError, TextView
from nearrow.query.accept import Accept, Filters
from nearrow.query.facet_counts import facet_counts
from nearrow.query.filter import Filter
from nearrow.query.hit_rows import NearestRows, RankedRows, chosen_columns
from nearrow.query.hybrid import hybrid_ranked
from nearrow.query.narrow import narrowed
from nearrow.query.nearest import Found, search, search_one
from nearrow.query.probe import explain
from nearrow.query.query import Vector, VectorQuery
from nearrow.query.ranked import Ranked
from nearrow.query.request import Request
from nearrow.query.text_search import TextSearch
from nearrow.query.vector_search import away_ranked, nearest_ranked
from nearrow.segment.view import View

logger = logging.getLogger("nearrow")


class Texts(Protocol):
    """Gives rows, and text views that hold all of them."""

    def views(self) -> tuple[View, Sequence[TextView]]: ...
    def rebuild(self) -> None:
        """The index turned out to be damaged: do not use it as it is."""


@dataclass(frozen=True)
class Source:
    """What requests are answered from."""

    metric: str
    newest: Callable[[], View]
    filters: Filters
    texts: Texts | None

    def text_views(self) -> tuple[View, Sequence[TextView]]:
        """Rows and text views for a text search; InvalidArgumentError without text fields."""
        if self.texts is None:
            raise InvalidArgumentError("text= needs text fields; create the collection with text_fields=[…]")
        return self.texts.views()


def execute(source: Source, request: Request) -> Hits:
    """Answer one request; a damaged text index is rebuilt first, for it is derived."""
    try:
        return _answer(source, request)
    except RebuildNeededError as damage:
        if source.texts is None:
            raise
        logger.warning("%s", damage)
        source.texts.rebuild()
        return _answer(source, request)


def _answer(source: Source, request: Request) -> Hits:
    began = time.perf_counter()
    view, text = (source.newest(), ()) if request.text is None else source.text_views()
    if request.columns is not None:
        chosen_columns(view.schema, request.columns)
    accept = source.filters.accept(view, request.where)
    filtered = time.perf_counter()
    words = None if request.text is None else TextSearch(view, text, accept, request.text, request.strict)

    def fetch(limit: int) -> Ranked:
        return _ranked(source, request, view, words, accept, limit)

    def show(ranked: Ranked) -> Hits:
        return _hits(view, ranked, request, words)

    if request.group_by is not None:
        chosen_columns(view.schema, [request.group_by])
    if request.narrows:
        ranked = narrowed(view, request, fetch, show)
    else:
        ranked = fetch(view.count if request.query.k is None else request.query.k)
    found = time.perf_counter()
    hits = show(ranked)
    if request.facets is not None:
        hits.facets = facet_counts(request.facets, view, accept, words, source.filters)
    if request.explain:
        seconds = {"filter": filtered - began, "search": found - filtered, "facets": time.perf_counter() - found}
        hits.explanation = explain(request, view, source.metric, accept, seconds, hits)
    return hits


def nearest_hits(
    source: Source, vector: Vector, query: VectorQuery, where: Filter | None, columns: Sequence[str] | None
) -> Hits:
    """The plainest search: the nearest rows to one vector."""
    view = source.newest()
    if columns is not None:
        columns = chosen_columns(view.schema, columns)
    found = search_one(view, source.metric, vector, query, source.filters.accept(view, where))
    return vector_hits(view, source.metric, found, columns)


def execute_batch(
    source: Source,
    queries: Vector,
    query: VectorQuery,
    where: Filter | None,
    columns: Sequence[str] | None,
    threads: int,
) -> list[Hits]:
    """Plain vector searches, many at once: Hits for each row of `queries` [b, d]."""
    view = source.newest()
    if columns is not None:
        columns = chosen_columns(view.schema, columns)
    accept = source.filters.accept(view, where)
    return [
        vector_hits(view, source.metric, one, columns)
        for one in search(view, source.metric, queries, query, accept, threads=threads)
    ]


def _ranked(
    source: Source,
    request: Request,
    view: View,
    words: TextSearch | None,
    accept: Sequence[Accept],
    limit: int,
) -> Ranked:
    vector, query = request.vector, request.query
    if vector is None:
        assert words is not None
        return words.ranked(limit)
    if words is not None:
        return hybrid_ranked(words, source.metric, vector, query, request.fusion, limit)
    if request.negatives is not None:
        return away_ranked(view, source.metric, vector, query, request.negatives, accept, limit)
    return nearest_ranked(view, source.metric, vector, query, accept, limit)


def _hits(view: View, ranked: Ranked, request: Request, words: TextSearch | None) -> Hits:
    rows = RankedRows(view, ranked, request.columns, request.after, paged=not request.reorders)
    hits = Hits(rows, ranked.distance, parts=ranked.parts)
    if words is not None and words.texts:
        text = words.texts[0]
        hits.snippet = lambda value, field: text.snippet(words.query, value, field=field)
    return hits


def vector_hits(view: View, metric: str, found: Found, columns: Sequence[str] | None) -> Hits:
    """Hits that read their ids, scores and columns from the view when asked."""
    return Hits(NearestRows(view, metric, found, columns), found.distance)
