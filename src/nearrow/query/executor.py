"""Executor: how does a request become hits?"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearrow.errors import InvalidArgumentError, NotFoundError
from nearrow.hits import Hits
from nearrow.index.text import RebuildNeededError, TextView
from nearrow.query.accept import Accept, Filters
from nearrow.query.cursor import Cursor
from nearrow.query.facet_counts import facet_counts
from nearrow.query.filter import Filter
from nearrow.query.hybrid import hybrid_ranked
from nearrow.query.narrow import narrowed
from nearrow.query.nearest import Found, search, search_one
from nearrow.query.probe import explain
from nearrow.query.query import Vector, VectorQuery
from nearrow.query.ranked import Ranked
from nearrow.query.request import Request
from nearrow.query.text_search import TextSearch
from nearrow.query.vector_search import away_ranked, nearest_ranked
from nearrow.schema import nearest_name
from nearrow.segment.view import Part, View

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
    hits = Hits(
        lambda: ids_of(view, ranked.owner, ranked.position),
        ranked.distance,
        ranked.score,
        lambda: view.take(ranked.owner, ranked.position, chosen_columns(view.schema, request.columns)),
        parts=ranked.parts,
        cursor=None if request.reorders else lambda: Cursor.behind(ranked, view, request.after),
    )
    if words is not None and words.texts:
        text = words.texts[0]
        hits.snippet = lambda value, field: text.snippet(words.query, value, field=field)
    return hits


def vector_hits(view: View, metric: str, found: Found, columns: Sequence[str] | None) -> Hits:
    """Hits that read their ids, scores and columns from the view when asked."""
    distance = found.distance
    return Hits(
        lambda: ids_of(view, found.owner, found.position),
        distance,
        lambda: scores_of(metric, distance),
        lambda: view.take(found.owner, found.position, chosen_columns(view.schema, columns)),
        cursor=lambda: Cursor.behind_nearest(found.owner, found.position, distance, view),
    )


def ids_of(view: View, owner: npt.NDArray[np.int32], position: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """The ids of the rows found: an object array of str, or an int64 array."""
    parts = view.parts
    if len(parts) == 1:
        return _ids_at(parts[0], position)
    if len(owner) == 0:
        return np.empty(0, np.int64 if pa.types.is_int64(view.schema.field("id").type) else object)
    first = int(owner[0])
    if (owner == first).all():
        return _ids_at(parts[first], position)
    known = {int(index): _ids_at(parts[int(index)], position[owner == index]) for index in np.unique(owner)}
    ids: npt.NDArray[Any] = np.empty(len(owner), known[first].dtype)
    for index, found in known.items():
        ids[owner == index] = found
    return ids


def _ids_at(part: Part, position: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    ids = part.ids_at(position)
    if ids.dtype.kind == "O" and len(ids) and isinstance(ids[0], int):
        return ids.astype(np.int64)
    return ids


def scores_of(metric: str, distances: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Higher is better: the cosine, the dot product, or 1 / (1 + squared distance)."""
    if metric == "cosine":
        return np.float32(1) - distances
    if metric == "dot":
        return -distances
    return np.float32(1) / (np.float32(1) + distances)


def chosen_columns(schema: pa.Schema, columns: Sequence[str] | None) -> list[str]:
    """The columns that come back: by default all but the vector. NotFoundError names an unknown one."""
    if columns is None:
        return [name for name in schema.names if name != "vector"]
    wanted = [columns] if isinstance(columns, str) else list(columns)
    for name in wanted:
        if not isinstance(name, str):
            raise InvalidArgumentError(f"columns are named by strings, not {name!r:.60}")
        if schema.get_field_index(name) < 0:
            raise NotFoundError(f"no column {name!r}{nearest_name(str(name), schema.names)}")
    return wanted
