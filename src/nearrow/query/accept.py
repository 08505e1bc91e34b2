"""Accept: which rows of each part may a search return?

A filter's bitmap belongs to the part's immutable rows, so it is cached by (part, filter) and shared by all views; what
has died since is masked out at the end. Zone maps answer for whole parts where they can. As long as the view stays the
same, so does the whole answer: it is kept, too, so that a filter that is asked again costs nothing.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from nearrow.index.graph import Depth, Graph, Selection
from nearrow.query.facets import FacetCache
from nearrow.query.filter import BitmapCache, Filter, SqlEngine, bits, columns_of, evaluate, prune
from nearrow.query.filter.cache import BytesCache
from nearrow.query.filter.evaluate import SqlMasks
from nearrow.query.filter.numbered import few_values
from nearrow.query.parsed import ParsedFilters
from nearrow.segment.rows import Bits
from nearrow.segment.view import Part, View

PREPARED_MIN = 512
"""Fewer accepted rows are looked at as quickly as they come."""
ASKED_FOR_NODES, ASKED_FOR_SKETCH = 2, 16
"""How often a filter is asked until its rows are put in the order of nodes, and until they get a sketch: when the
searches that would have been quicker with it have cost about as much as it does."""


class _Prepared:
    """What is made of an Accept when it is used again. Two threads may make it twice, which does no harm."""

    __slots__ = ("asked", "graph", "renewed", "selection")

    def __init__(self) -> None:
        self.asked = 0
        self.graph: Graph | None = None
        self.selection: Selection | None = None
        self.renewed: float = 0
        """When it has been asked so often, the selection is prepared for more searches."""


@dataclass(frozen=True)
class Accept:
    """Which rows of one part may be returned: a packed bitmap (None: all) and how many they are."""

    bits: Bits | None
    count: int
    pruned: bool = False
    """The zone map answered: the rows were not looked at."""
    prepared: _Prepared = field(default_factory=_Prepared, compare=False, repr=False)

    @property
    def sketched(self) -> bool:
        """Whether the rows have a sketch by now."""
        return self.prepared.selection is not None and self.prepared.selection.has_sketch

    def selection(self, graph: Graph, queries: int = 1) -> Selection | None:
        """The rows as the graph's searches want them (None: all), prepared better the more they are asked for."""
        if self.bits is None:
            return None
        known = self.prepared
        known.asked += queries
        selection = known.selection
        if selection is None or known.graph is not graph or known.asked >= known.renewed:
            depth, known.renewed = self._depth(known.asked)
            selection = known.selection = graph.select(self.bits, self.count, depth)
            known.graph = graph
        return selection

    def _depth(self, asked: int) -> tuple[Depth, float]:
        """How well to prepare for so many queries, and at how many to think again."""
        if self.count < PREPARED_MIN:
            return "rows", math.inf
        if asked < ASKED_FOR_NODES:
            return "rows", ASKED_FOR_NODES
        return ("nodes", ASKED_FOR_SKETCH) if asked < ASKED_FOR_SKETCH else ("sketch", math.inf)


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
        self._parts: frozenset[Hashable] = frozenset()

    def parse(self, where: Any, schema: pa.Schema) -> Filter | None:
        """The filter that `where` spells; None for None."""
        return None if where is None else self._parsed.parse(where, schema)

    def accept(self, view: View, where: Filter | None) -> Sequence[Accept]:
        """For each part of the view, the rows that are alive and match."""
        answers = self._answers
        if answers is None or answers.view() is not view:
            answers = self._answers = _Answers(view)
            self._forget_merged(view)
        if where is None or where.matches_all:
            return answers.every
        found = answers.by_filter.get(None, where.key)
        if found is None:
            found = [self._accept(part, where, view.schema) for part in view.parts]
            size = sum(0 if accept.bits is None else 2 * accept.bits.nbytes for accept in found)
            answers.by_filter.put_sized(None, where.key, found, size)
        return found

    def _forget_merged(self, view: View) -> None:
        """Let go of what was kept for parts that are no more. A search that still reads an older view only pays again."""
        parts = frozenset(part.key for part in view.parts)
        if parts != self._parts:
            self._parts = parts
            self.cache.keep_parts(parts)
            self.facet_values.keep_parts(parts)

    def _accept(self, part: Part, where: Filter, schema: pa.Schema) -> Accept:
        verdict = prune(where, part.zone)
        if verdict == "all":
            return Accept(part.alive, part.alive_count, pruned=True)
        if verdict == "none":
            return Accept(bits.none_of(part.rows), 0, pruned=True)
        found = self.cache.get(part.key, where.key)
        if found is None:
            columns = columns_of(where.root)
            table = part.select(schema.names if columns is None else sorted(columns))
            values = partial(few_values, self.facet_values, part.key, table)
            found = evaluate(where, table, self._sql, values)
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
