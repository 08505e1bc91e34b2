"""Memtable: which rows are durable in the log but not yet in a segment?

It only ever grows; rows die by leaving its `alive` bitmap. Views share its arrays and see the first n rows, so that
publishing a view copies a bitmap and a few references. Small batches are joined as digits of a counter carry, so a row is
copied a few times however it arrived.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from itertools import count as counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearrow.index.hnsw import Graph, Vectors
from nearrow.index.vectors import Piece, pieces_of
from nearrow.segment.rows import Bits, Positions, batch_starts, fill_columns, only_alive, take_rows
from nearrow.segment.view import ROW, present_columns
from nearrow.segment.zones import Zone
from nearrow.write.record import Change, Put, RowNumbers

FRESH_ROWS = 16
"""So many rows are joined to a run at once; fewer are joined by the first search that reads them."""
RUNS_JOINED = 4
"""A row is copied each time; with 2 it would be twice as often, for half as many runs."""
RUN_ROWS = 1024
"""Longer runs are not joined: a search has little to do for one run more, and a copy of one takes long."""

_numbers = counter()


class Run:
    """Rows that lie together. Where their vectors are is found by the first search, for all the views that share it."""

    __slots__ = ("_vectors", "batch")

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch = batch
        self._vectors: Piece | None = None

    @property
    def vectors(self) -> Piece:
        if self._vectors is None:
            (self._vectors,) = pieces_of(self.batch.column("vector"))
        return self._vectors


Fresh = tuple[Sequence[Run], pa.Schema]  # runs without `_row`, and their schema with it


class Memtable:
    """Rows of the log since the last seal. Written by one thread at a time; read through `part()`."""

    def __init__(self) -> None:
        self.number = next(_numbers)
        self.bytes = 0
        self._runs: list[Run] = []
        self._fresh: list[Run] = []  # of one schema, still without `_row`; behind the runs
        self._fresh_rows = 0
        self._row_numbers = np.empty(64, np.uint64)
        self._alive = np.zeros(8, np.uint8)
        self._positions: dict[str | int, int] = {}
        self._ids: list[str | int] = []  # by position
        self.rows = 0
        self.alive_count = 0
        self._part: MemtablePart | None = None
        self._stored: tuple[pa.Schema, pa.Schema] | None = None

    def apply(self, change: Change) -> None:
        """Add the rows that came, then kill the dead that lie here: a transaction may kill what it brought."""
        for put in change.puts:
            self._add(put)
        if len(change.dead):
            self.kill(self.locate(change.dead))

    def _add(self, put: Put) -> None:
        first, rows = self.rows, put.batch.num_rows
        self.rows += rows
        if self.rows > len(self._row_numbers):
            size = max(self.rows, 2 * len(self._row_numbers))
            self._row_numbers = np.concatenate([self._row_numbers[:first], np.empty(size - first, np.uint64)])
            self._alive = np.concatenate([self._alive, np.zeros(-(-size // 8) - len(self._alive), np.uint8)])
        self._row_numbers[first : self.rows] = np.arange(put.first_row, put.first_row + rows, dtype=np.uint64)
        set_bits(self._alive, first, self.rows)
        self.alive_count += rows
        ids = put.batch.column("id").to_pylist()
        self._ids += ids
        self._positions.update(zip(ids, range(first, self.rows), strict=True))
        self.bytes += put.message.size
        if self._fresh and not self._fresh[0].batch.schema.equals(put.batch.schema):
            self._settle(first)
        self._fresh.append(Run(put.batch))
        self._fresh_rows += rows
        if self._fresh_rows >= FRESH_ROWS:
            self._settle(self.rows)
        self._part = None

    def _settle(self, end: int) -> None:
        """Make a run of the fresh rows, which lie before position `end`."""
        first = end - self._fresh_rows
        self._push(joined_run(self._fresh, self._row_numbers[first:end], self._with_row(self._fresh[0].batch.schema)))
        self._fresh, self._fresh_rows = [], 0

    def _with_row(self, schema: pa.Schema) -> pa.Schema:
        """The schema with `_row` before it; made once for all puts of one schema."""
        if self._stored is None or not self._stored[0].equals(schema):
            self._stored = schema, schema.insert(0, pa.field(ROW, pa.uint64()))
        return self._stored[1]

    def _push(self, batch: pa.RecordBatch) -> None:
        """Keep runs of falling size: join RUNS_JOINED that do not fall, until they are long enough to be left."""
        runs = [*self._runs, Run(batch)]
        while len(runs) >= RUNS_JOINED and batch.num_rows < RUN_ROWS:
            joined = [run.batch for run in runs[-RUNS_JOINED:]]
            if max(earlier.num_rows for earlier in joined) > batch.num_rows:
                break
            table = pa.concat_tables([fill_columns(pa.Table.from_batches([one]), batch.schema) for one in joined])
            batch = table.combine_chunks().to_batches()[0]
            runs[-RUNS_JOINED:] = [Run(batch)]
        self._runs = runs

    def ids_at(self, positions: Iterable[int]) -> list[str | int]:
        """Ids of rows, alive or not; of those that a view sees, in any thread."""
        ids = self._ids
        return [ids[position] for position in positions]

    def find_latest(self, identifier: str | int) -> int | None:
        """Position of the id's newest version, alive or not."""
        return self._positions.get(identifier)

    def row_of(self, identifier: str | int) -> int | None:
        """Row number of the id's alive row."""
        position = self._positions.get(identifier)
        if position is None or not (int(self._alive[position >> 3]) >> (position & 7)) & 1:
            return None
        return int(self._row_numbers[position])

    def find(self, ids: Sequence[str | int]) -> Positions:
        """Position of each id's alive row, or -1."""
        if self._positions.keys().isdisjoint(ids):  # the usual batch: all new
            return np.full(len(ids), -1, np.int64)
        get = self._positions.get
        positions = np.fromiter([get(identifier, -1) for identifier in ids], np.int64, len(ids))
        return self.only_alive(positions)

    def only_alive(self, positions: Positions) -> Positions:
        """`positions` with -1 where the row has died."""
        return only_alive(positions, self._alive)

    def locate(self, row_numbers: RowNumbers) -> Positions:
        return locate_sorted(self._row_numbers[: self.rows], row_numbers)

    def row_numbers_at(self, positions: Positions) -> RowNumbers:
        return self._row_numbers[positions]

    def kill(self, positions: Positions) -> int:
        """Mark rows dead; those already dead (or -1) are ignored. Returns how many died."""
        positions = only_alive(positions, self._alive)
        positions = np.unique(positions[positions >= 0])
        if len(positions) == 0:
            return 0
        np.bitwise_and.at(self._alive, positions >> 3, ~(np.uint8(1) << (positions & 7).astype(np.uint8)))
        self.alive_count -= len(positions)
        self._part = None
        return len(positions)

    def part(self) -> MemtablePart:
        """The rows as they are now, for a view."""
        if self._part is None:
            alive = None if self.alive_count == self.rows else self._alive[: -(-self.rows // 8)].copy()
            fresh = None
            if self._fresh:
                fresh = tuple(self._fresh), self._with_row(self._fresh[0].batch.schema)
            self._part = MemtablePart(
                self, tuple(self._runs), fresh, self.rows, alive, self.alive_count, self._row_numbers
            )
        return self._part


class MemtablePart:
    """A memtable as one view sees it: its first `rows` rows. Scanned exactly; no graph."""

    graph: Graph | None = None

    def __init__(
        self,
        memtable: Memtable,
        runs: tuple[Run, ...],
        fresh: Fresh | None,
        rows: int,
        alive: Bits | None,
        alive_count: int,
        row_numbers: RowNumbers,
    ) -> None:
        self._memtable = memtable
        self._runs = runs
        self._fresh = fresh
        self._batches: Sequence[pa.RecordBatch] | None = None
        self.rows = rows
        self.alive = alive
        self.alive_count = alive_count
        self.row_numbers = row_numbers[:rows]
        self._starts: Positions | None = None
        self._vectors: Vectors | None = None

    @property
    def key(self) -> Hashable:
        return ("memtable", self._memtable.number, self.rows)

    @property
    def batches(self) -> Sequence[pa.RecordBatch]:
        if self._batches is None:  # threads may do this at once: each comes to the same
            batches = [run.batch for run in self._runs]
            if self._fresh is not None:
                runs, schema = self._fresh
                settled = sum([batch.num_rows for batch in batches])
                batches.append(joined_run(runs, self.row_numbers[settled:], schema))
            self._batches = batches
        return self._batches

    @property
    def starts(self) -> Positions:
        if self._starts is None:
            self._starts = batch_starts(self.batches)
        return self._starts

    @property
    def vectors(self) -> Vectors:
        if self._vectors is None:
            fresh = () if self._fresh is None else self._fresh[0]
            self._vectors = Vectors([run.vectors for run in (*self._runs, *fresh)])
        return self._vectors

    def find(self, ids: pa.Array) -> Positions:
        wanted = ids.to_pylist()
        latest = self._memtable.find_latest
        positions = np.full(len(wanted), -1, np.int64)
        later = []
        for index, identifier in enumerate(wanted):
            position = latest(identifier)
            if position is None:
                continue
            if position < self.rows:
                positions[index] = position
            else:
                later.append(index)
        if later:  # a newer version came after this view: look for the one that the view sees
            all_ids = self._memtable.ids_at(range(self.rows))
            places = {identifier: position for position, identifier in enumerate(all_ids)}
            for index in later:
                positions[index] = places.get(wanted[index], -1)
        return only_alive(positions, self.alive)

    def locate(self, row_numbers: RowNumbers) -> Positions:
        return locate_sorted(self.row_numbers, row_numbers)

    def row_numbers_at(self, positions: Positions) -> RowNumbers:
        return self.row_numbers[positions]

    def ids_at(self, positions: Positions) -> npt.NDArray[Any]:
        return np.asarray(self._memtable.ids_at(positions), dtype=object)

    def take(self, positions: Positions, columns: Sequence[str]) -> pa.Table:
        schema = self.batches[-1].schema
        columns = [ROW, *present_columns(schema, columns)]
        if any(batch.schema is not schema and not batch.schema.equals(schema) for batch in self.batches):
            table = pa.concat_tables([fill_columns(pa.Table.from_batches([b]), schema) for b in self.batches])
            return take_rows([table.combine_chunks().to_batches()[0]], np.array([0, self.rows]), positions, columns)
        return take_rows(self.batches, self.starts, positions, columns)

    def select(self, columns: Sequence[str]) -> pa.Table:
        schema = self.batches[-1].schema
        chosen = pa.schema([schema.field(name) for name in [ROW, *present_columns(schema, columns)]])
        return pa.concat_tables([fill_columns(pa.Table.from_batches([batch]), chosen) for batch in self.batches])

    def zone(self, column: str) -> Zone | None:
        return None


def joined_run(runs: Sequence[Run], row_numbers: RowNumbers, schema: pa.Schema) -> pa.RecordBatch:
    """Runs of one schema as one batch, with their row numbers as the first column of `schema`."""
    batches = [run.batch for run in runs]
    whole = batches[0] if len(batches) == 1 else pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
    return pa.RecordBatch.from_arrays([pa.array(row_numbers), *whole.columns], schema=schema)


def set_bits(bits: Bits, first: int, last: int) -> None:
    """Set bits first .. last - 1 in place."""
    if last - first == 1:  # the usual upsert
        bits[first >> 3] |= 1 << (first & 7)
        return
    for position in range(first, min(last, -(-first // 8) * 8)):
        bits[position >> 3] |= np.uint8(1 << (position & 7))
    whole = -(-first // 8)
    if last > whole * 8:
        bits[whole : last // 8] = 0xFF
        for position in range(max(last // 8, whole) * 8, last):
            bits[position >> 3] |= np.uint8(1 << (position & 7))


def locate_sorted(row_numbers: RowNumbers, wanted: RowNumbers) -> Positions:
    """Position of each wanted number in the ascending `row_numbers`, or -1."""
    if len(row_numbers) == 0:
        return np.full(len(wanted), -1, np.int64)
    places = np.searchsorted(row_numbers, wanted)
    places = np.minimum(places, len(row_numbers) - 1)
    return np.where(row_numbers[places] == wanted, places, -1).astype(np.int64)
