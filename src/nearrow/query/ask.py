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
from nearrow.query.executor import Source, execute, execute_batch
from nearrow.query.filter import Filter, SqlEngine, parse_filter
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

    @property
    def plain(self) -> bool:
        """Nothing besides the nearest rows."""
        asked = (self.text, self.negatives, self.facets, self.group_by, self.after, self.rerank, self.diversity)
        return not self.explain and all(option is None for option in asked)


def ask(
    source: Source,
    sql: SqlEngine,
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
        return execute(source, _request(source, sql, dimension, None, query, where, columns, extras))
    queries = query_vectors(vector, dimension, source.metric)
    if queries.ndim == 1:
        if extras.plain:
            return execute_batch(source, queries[None, :], query, _filter(source, sql, where), columns, 1)[0]
        return execute(source, _request(source, sql, dimension, queries, query, where, columns, extras))
    filters = _filter_of_each(source, sql, where, len(queries))
    if extras.plain and len(set(filters)) <= 1:
        return execute_batch(source, queries, query, filters[0] if filters else None, columns, threads)

    def one(index: int) -> Hits:
        return execute(source, _request(source, sql, dimension, queries[index], query, filters[index], columns, extras))

    if threads == 1 or len(queries) == 1:
        return [one(index) for index in range(len(queries))]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, range(len(queries))))


def _request(
    source: Source,
    sql: SqlEngine,
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
        _filter(source, sql, where),
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


def _filter(source: Source, sql: SqlEngine, where: Any) -> Filter | None:
    if where is None or isinstance(where, Filter):
        return where
    return parse_filter(where, source.newest().schema, sql)


def _filter_of_each(source: Source, sql: SqlEngine, where: Any, queries: int) -> list[Filter | None]:
    """One filter for all queries, or a list with one for each."""
    if not isinstance(where, (list, tuple)):
        return [_filter(source, sql, where)] * queries
    if len(where) != queries:
        raise InvalidArgumentError(f"where has {len(where)} filters for {queries} queries; give one for each, or one")
    return [_filter(source, sql, each) for each in where]
