"""Accept: which rows of each part may a search return?

A filter's bitmap belongs to the part's immutable rows, so it is cached by (part, filter) and shared by all views; what
has died since is masked out at the end. Zone maps answer for whole parts where they can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from nearrow.query.facets import FacetCache
from nearrow.query.filter import BitmapCache, Filter, bits, columns_of, evaluate, prune
from nearrow.query.filter.evaluate import SqlMasks
from nearrow.segment.rows import Bits
from nearrow.segment.view import Part, View


@dataclass(frozen=True)
class Accept:
    """Which rows of one part may be returned: a packed bitmap (None: all) and how many they are."""

    bits: Bits | None
    count: int
    pruned: bool = False
    """The zone map answered: the rows were not looked at."""


class Filters:
    """Evaluates filters over views; keeps the bitmaps. Thread-safe; one per collection."""

    def __init__(self, sql: SqlMasks | None) -> None:
        self.cache = BitmapCache()
        self.facet_values: FacetCache = FacetCache()
        self._sql = sql

    def accept(self, view: View, where: Filter | None) -> list[Accept]:
        """For each part of the view, the rows that are alive and match."""
        if where is None or where.matches_all:
            return [Accept(part.alive, part.alive_count) for part in view.parts]
        return [self._accept(part, where, view.schema) for part in view.parts]

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
