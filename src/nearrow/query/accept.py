"""Accept: which rows of each part may a search return?

A filter's bitmap belongs to the part's immutable rows, so it is cached by (part, filter) and shared by all views; what
has died since is masked out at the end. Zone maps answer for whole parts where they can. As long as the view stays the
same, so does the whole answer: it is kept, too, so that a filter that is asked again costs nothing.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from nearrow.index.hnsw import Graph
from nearrow.query.facets import FacetCache
from nearrow.query.filter import BitmapCache, Filter, SqlEngine, bits, columns_of, evaluate, prune
from nearrow.query.filter.cache import BytesCache
from nearrow.query.filter.evaluate import SqlMasks
from nearrow.query.parsed import ParsedFilters
from nearrow.segment.rows import Bits
from nearrow.segment.view import Part, View

NODES_MIN = 1_000
"""Fewer accepted rows are looked at as quickly in any order."""


@dataclass
class _ByNode:
    """What is made of an Accept when it is used again. Two threads may make it twice, which does no harm."""

    asked: int = 0
    made: tuple[Graph, Bits] | None = None


@dataclass(frozen=True)
class Accept:
    """Which rows of one part may be returned: a packed bitmap (None: all) and how many they are."""

    bits: Bits | None
    count: int
    pruned: bool = False
    """The zone map answered: the rows were not looked at."""
    by_node: _ByNode = field(default_factory=_ByNode, compare=False, repr=False)

    def nodes(self, graph: Graph, queries: int = 1) -> Bits | None:
        """The bitmap in the order of the graph's nodes, once these rows are asked for again (or by many queries)."""
        if self.bits is None or self.count < NODES_MIN:
            return None
        known = self.by_node
        known.asked += queries
        made = known.made
        if made is None or made[0] is not graph:
            if known.asked <= 1:
                return None
            made = known.made = (graph, graph.node_bits(self.bits))
        return made[1]


ANSWERS_BYTES_MAX = 32 << 20


class FilterSource(SqlMasks, SqlEngine, Protocol):
    """The SQL that filters need: parsed and evaluated."""


class _Answers:
    """What was accepted of one view, by filter."""

    def __init__(self, view: View) -> None:
        self.view = weakref.ref(view)  # a view keeps files mapped: it must be free to go
        self.every = [Accept(part.alive, part.alive_count) for part in view.parts]
        self.by_filter: BytesCache[list[Accept]] = BytesCache(ANSWERS_BYTES_MAX)


class Filters:
    """Evaluates filters over views; keeps the bitmaps. Thread-safe; one per collection."""

    def __init__(self, sql: FilterSource | None) -> None:
        self.cache = BitmapCache()
        self.facet_values: FacetCache = FacetCache()
        self._sql = sql
        self._parsed = ParsedFilters(sql)
        self._answers: _Answers | None = None

    def parse(self, where: Any, schema: pa.Schema) -> Filter | None:
        """The filter that `where` spells; None for None."""
        return None if where is None else self._parsed.parse(where, schema)

    def accept(self, view: View, where: Filter | None) -> Sequence[Accept]:
        """For each part of the view, the rows that are alive and match."""
        answers = self._answers
        if answers is None or answers.view() is not view:
            answers = self._answers = _Answers(view)
        if where is None or where.matches_all:
            return answers.every
        found = answers.by_filter.get(None, where.key)
        if found is None:
            found = [self._accept(part, where, view.schema) for part in view.parts]
            size = sum(0 if accept.bits is None else 2 * accept.bits.nbytes for accept in found)
            answers.by_filter.put_sized(None, where.key, found, size)
        return found

    def _accept(self, part: Part, where: Filter, schema: pa.Schema) -> Accept:
        verdict = prune(where, part.zone)
        if verdict == "all":
            return Accept(part.alive, part.alive_count, pruned=True)
        if verdict == "none":
            return Accept(bits.none_of(part.rows), 0, pruned=True)
        found = self.cache.get(part.key, where.key)
        if found is None:
            columns = columns_of(where.root)
            found = evaluate(where, part.select(schema.names if columns is None else sorted(columns)), self._sql)
            self.cache.put(part.key, where.key, found)
        if part.alive is not None:
            found = found & part.alive
        return Accept(found, bits.count(found))


def matching_positions(accept: Accept, rows: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The positions accepted, ascending."""
    if accept.bits is None:
        return np.arange(rows, dtype=np.int64)
    return np.flatnonzero(bits.unpack(accept.bits, rows)).astype(np.int64)


def matching_rows(view: View, accepted: Sequence[Accept]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """The row numbers of all rows accepted."""
    found = [
        part.row_numbers_at(matching_positions(allowed, part.rows))
        for part, allowed in zip(view.parts, accepted, strict=True)
        if allowed.count
    ]
    return np.concatenate([np.empty(0, np.uint64), *found])
