"""Ask: how do the arguments of search() become requests?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nearrow.errors import InvalidArgumentError
from nearrow.hits import Hits
from nearrow.query.cursor import Cursor
from nearrow.query.executor import Source, execute, execute_batch, nearest_hits
from nearrow.query.filter import Filter
from nearrow.query.fusion import parse_fusion
from nearrow.query.negatives import Negatives
from nearrow.query.query import Vector, VectorQuery, query_vectors
from nearrow.query.request import Request
from nearrow.query.usual import usual_hits


@dataclass(frozen=True)
class Extras:
    """What a search asks for besides the nearest rows to a vector."""

    text: Any = None
    strict: bool = False
    negatives: Any = None
    negative_weight: float = 0.5
    fusion: Any = "rrf"
    facets: Sequence[Any] | None = None
    group_by: str | None = None
    group_size: int = 1
    after: str | None = None
    rerank: Callable[..., Any] | None = None
    diversity: float | None = None
    explain: bool = False


PLAIN = Extras()
"""Nothing besides the nearest rows."""


def ask(
    source: Source,
    dimension: int,
    vector: Any,
    query: VectorQuery,
    where: Any,
    columns: Sequence[str] | None,
    extras: Extras,
    threads: int,
) -> Any:
    """Hits for one query; a list of Hits for a batch (a 2-D vector, a list of texts), computed in parallel."""
    if extras is PLAIN and not isinstance(where, (list, tuple)):
        hits = usual_hits(source, vector, query, None if where is None else _filter(source, where), columns)
        if hits is not None:
            return hits
    if vector is None and not isinstance(extras.text, (list, tuple)):
        return execute(source, _request(source, dimension, None, query, where, columns, extras))
    queries = None if vector is None else query_vectors(vector, dimension, source.metric)
    if queries is not None and queries.ndim == 1:
        if extras is PLAIN:
            return nearest_hits(source, queries, query, _filter(source, where), columns)
        return execute(source, _request(source, dimension, queries, query, where, columns, extras))
    count = len(extras.text) if queries is None else len(queries)
    if count == 0:
        return []
    filters = _filter_of_each(source, where, count)
    if extras is PLAIN:
        assert queries is not None
        return _plain_batch(source, queries, query, filters, columns, threads)
    each = _extras_of_each(extras, count)

    def one(index: int) -> Hits:
        single = None if queries is None else queries[index]
        return execute(source, _request(source, dimension, single, query, filters[index], columns, each[index]))

    if threads == 1 or count == 1:
        return [one(index) for index in range(count)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, range(count)))


def _plain_batch(
    source: Source,
    queries: Vector,
    query: VectorQuery,
    filters: Sequence[Filter | None],
    columns: Sequence[str] | None,
    threads: int,
) -> list[Hits]:
    """Queries with the same filter are searched together, for the kernel to share among its threads."""
    groups: dict[Any, list[int]] = {}
    for index, where in enumerate(filters):
        groups.setdefault(None if where is None else where.key, []).append(index)
    if len(groups) == 1:
        return execute_batch(source, queries, query, filters[0], columns, threads)
    found: dict[int, Hits] = {}
    for members in groups.values():
        hits = execute_batch(source, queries[members], query, filters[members[0]], columns, threads)
        found.update(zip(members, hits, strict=True))
    return [found[index] for index in range(len(queries))]


def _request(
    source: Source,
    dimension: int,
    vector: Vector | None,
    query: VectorQuery,
    where: Any,
    columns: Sequence[str] | None,
    extras: Extras,
) -> Request:
    negatives = None
    if extras.negatives is not None:
        found = np.atleast_2d(query_vectors(extras.negatives, dimension, source.metric, "negatives"))
        negatives = Negatives(found, extras.negative_weight) if len(found) else None
    return Request(
        query,
        vector,
        extras.text,
        extras.strict,
        _filter(source, where),
        negatives,
        parse_fusion(extras.fusion),
        columns,
        extras.facets,
        extras.group_by,
        extras.group_size,
        None if extras.after is None else Cursor.parse(extras.after),
        extras.rerank,
        extras.diversity,
        extras.explain,
    )


def _extras_of_each(extras: Extras, queries: int) -> list[Extras]:
    """One text for all queries, or a list with one for each."""
    if not isinstance(extras.text, (list, tuple)):
        return [extras] * queries
    if len(extras.text) != queries:
        raise InvalidArgumentError(
            f"text has {len(extras.text)} texts for {queries} queries; give one for each, or one"
        )
    return [replace(extras, text=text) for text in extras.text]


def _filter(source: Source, where: Any) -> Filter | None:
    if where is None or isinstance(where, Filter):
        return where
    return source.filters.parse(where, source.newest().schema)


def _filter_of_each(source: Source, where: Any, queries: int) -> list[Filter | None]:
    """One filter for all queries, or a list with one for each."""
    if not isinstance(where, (list, tuple)):
        return [_filter(source, where)] * queries
    if len(where) != queries:
        raise InvalidArgumentError(f"where has {len(where)} filters for {queries} queries; give one for each, or one")
    return [_filter(source, each) for each in where]
