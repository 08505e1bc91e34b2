"""State: which rows are there now, for the one thread that may change them?

Holds the segments with their dead rows, the memtables on their way to a segment (`frozen`), and the one that grows
(`active`). Writers change it under the collection's mutex and publish a view of it; replay at open builds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from nearrow.segment.part import SegmentPart
from nearrow.segment.view import Part, View
from nearrow.write.memtable import Memtable
from nearrow.write.record import Change, RowNumbers

NO_ROWS: RowNumbers = np.empty(0, np.uint64)
FEW = 8  # ids that are looked up one by one sooner than by arrays


@dataclass
class FrozenMemtable:
    """A full memtable, its log ended: `last_lsn` is the last record that it holds, `next_log` the log behind it."""

    memtable: Memtable
    last_lsn: int
    next_log: int
    claimed: bool = False
    """A thread is sealing it."""


@dataclass
class State:
    """The newest state of a collection. Not thread-safe: guarded by its owner."""

    schema: pa.Schema
    next_row: int = 0
    lsn: int = 0
    generation: int = 0
    segments: list[SegmentPart] = field(default_factory=list)
    frozen: list[FrozenMemtable] = field(default_factory=list)
    follow_deaths: bool = False
    died: list[RowNumbers] = field(default_factory=list)
    """Row numbers that died since they were last drained, when `follow_deaths` is set."""
    active: Memtable = field(default_factory=Memtable)

    def memtables(self) -> Iterator[Memtable]:
        """Newest first."""
        yield self.active
        for frozen in reversed(self.frozen):
            yield frozen.memtable

    @property
    def count(self) -> int:
        return sum(p.alive_count for p in self.segments) + sum(m.alive_count for m in self.memtables())

    def find(self, ids: pa.Array) -> tuple[RowNumbers, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
        """Row numbers of the ids that exist, and which ids those are (a mask over `ids`, in order)."""
        found = np.zeros(len(ids), np.bool_)
        rows = np.zeros(len(ids), np.uint64)
        wanted = ids.to_pylist()
        for memtable in self.memtables():
            if memtable.rows and len(wanted) <= FEW:
                for index, identifier in enumerate(wanted):
                    row = memtable.row_of(identifier)
                    if row is not None:
                        rows[index], found[index] = row, True
            elif memtable.rows:
                positions = memtable.find(wanted)
                hit = positions >= 0
                rows[hit] = memtable.row_numbers_at(positions[hit])
                found |= hit
        for part in self.segments:
            if found.all():
                break
            missing = np.flatnonzero(~found)
            positions = part.find(ids if len(missing) == len(ids) else ids.take(pa.array(missing)))
            hit = positions >= 0
            rows[missing[hit]] = part.row_numbers_at(positions[hit])
            found[missing[hit]] = True
        return rows[found], found

    def apply(self, change: Change, lsn: int, schema: pa.Schema | None = None) -> None:
        """Make one record's change visible to the next view."""
        if schema is not None:
            self.schema = schema
        self.active.apply(change)
        if len(change.dead):
            self.kill(change.dead)
        for put in change.puts:
            self.next_row = max(self.next_row, put.first_row + put.batch.num_rows)
        self.lsn = lsn

    def kill(self, dead: RowNumbers) -> None:
        """Mark row numbers dead wherever they lie; those that are gone already are ignored."""
        if self.follow_deaths:
            self.died.append(dead)
        for frozen in self.frozen:
            frozen.memtable.kill(frozen.memtable.locate(dead))
        for index, part in enumerate(self.segments):
            positions = part.locate(dead)
            if (positions >= 0).any():
                self.segments[index] = part.with_dead(positions)

    def drain_died(self) -> RowNumbers:
        """The row numbers that died since the last call."""
        died = np.concatenate([NO_ROWS, *self.died])
        self.died = []
        return died

    def freeze(self, next_log: int) -> FrozenMemtable:
        """The active memtable waits for its segment; a new one takes the writes of log `next_log`."""
        frozen = FrozenMemtable(self.active, self.lsn, next_log)
        self.frozen.append(frozen)
        self.active = Memtable()
        return frozen

    def has_segment(self, segment_id: str) -> bool:
        return any(part.id == segment_id for part in self.segments)

    def replace_segments(self, gone: Sequence[str], came: Sequence[SegmentPart]) -> None:
        """Put `came` in the place of the segments with the ids `gone`."""
        self.segments = [part for part in self.segments if part.id not in gone] + list(came)
        self.segments.sort(key=lambda part: part.segment.entry.min_row)
        self.generation += 1

    def view(self) -> View:
        """What is visible now."""
        parts: list[Part] = [part for part in self.segments if part.alive_count]
        parts.extend(frozen.memtable.part() for frozen in self.frozen if frozen.memtable.alive_count)
        if self.active.alive_count:
            parts.append(self.active.part())
        return View(tuple(parts), self.schema, self.lsn, self.generation)
