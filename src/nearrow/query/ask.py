"""Ask: how do the arguments of search() become requests?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
    """Hits for one query; a list of Hits for a batch (a 2-D vector), computed in parallel."""
    if vector is None:
        return execute(source, _request(source, dimension, None, query, where, columns, extras))
    queries = query_vectors(vector, dimension, source.metric)
    if queries.ndim == 1:
        if extras is PLAIN:
            return nearest_hits(source, queries, query, _filter(source, where), columns)
        return execute(source, _request(source, dimension, queries, query, where, columns, extras))
    if len(queries) == 0:
        return []
    filters = _filter_of_each(source, where, len(queries))
    if extras is PLAIN:
        return _plain_batch(source, queries, query, filters, columns, threads)

    def one(index: int) -> Hits:
        return execute(source, _request(source, dimension, queries[index], query, filters[index], columns, extras))

    if threads == 1 or len(queries) == 1:
        return [one(index) for index in range(len(queries))]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, range(len(queries))))


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
