"""Reader: how are the rows of a segment reached without reading the segment?

All files are mapped at open and used in place. The rows must be right: damage there is a CorruptionError that names the
file. ids.bin, zones.arrow and graph.bin are derived: a damaged one is rebuilt in memory or done without, and `damage`
says so. Offsets are checked column by column at first use, because native code follows them blindly. Values are covered
by the digests: small files' at open, big ones' by `verify`. A segment may be used from any number of threads.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearrow.errors import AlreadyExistsError, CorruptionError, SchemaError
from nearrow.index.hnsw import Graph, Vectors
from nearrow.index.ids import IdColumn, Ids, IdTable, Positions
from nearrow.segment import format as segment_format
from nearrow.segment.deletes import DeadRows
from nearrow.segment.format import (
    ADVICE,
    GRAPH_FILE,
    ID,
    IDS_FILE,
    ROW,
    ROWS_FILE,
    VECTOR,
    ZONES_FILE,
    check_columns,
    open_rows,
)
from nearrow.segment.rows import batch_starts, take_rows
from nearrow.segment.zones import Zone, Zones
from nearrow.storage.directory import Directory
from nearrow.storage.manifest import SegmentEntry
from nearrow.storage.published import digest, map_published

RowNumbers = npt.NDArray[np.uint64]

logger = logging.getLogger("nearrow")


class Segment:
    """One immutable segment, mapped. Which of its rows are dead is not its business: see `load_dead`."""

    def __init__(self, entry: SegmentEntry, files: dict[str, pa.Buffer], metric: str) -> None:
        self.entry = entry
        self.metric = metric
        self.damage: tuple[str, ...] = ()
        self._files = files
        self._checked: set[str] = set()
        self.schema, self._raw = open_rows(files[ROWS_FILE], entry)  # the stored columns, `_row` among them
        self._starts = batch_starts(self._raw)

    @classmethod
    def open(cls, directory: Directory, entry: SegmentEntry, schema: pa.Schema, *, metric: str) -> Segment:
        """Map the files of `entry` and check lengths, small files' digests and the structure of the rows.

        `schema` is the collection's (with or without `_row`); the segment may lack columns of it, but has no others.
        CorruptionError, naming the file, if the rows are not what the manifest says.
        """
        files: dict[str, pa.Buffer] = {}
        damage: list[str] = []
        for name, file in entry.files.items():
            eager = file.digest if name == ZONES_FILE or file.length <= segment_format.EAGER_DIGEST_BYTES else None
            try:
                files[name] = map_published(directory, entry.path(name), file.length, eager)
            except CorruptionError as error:
                if name == ROWS_FILE:
                    raise
                damage.append(str(error))
        if ROWS_FILE not in files:
            raise CorruptionError(f"{entry.path(ROWS_FILE)}: the manifest does not name it; {ADVICE}")
        segment = cls(entry, files, metric)
        check_columns(segment.schema, schema, entry.path(ROWS_FILE))
        for problem in damage:
            segment._report(problem)
        return segment

    def __len__(self) -> int:
        return self.entry.rows

    @property
    def key(self) -> str:
        """Names these rows for ever: for caches."""
        return self.entry.id

    @property
    def rows(self) -> int:
        return self.entry.rows

    @property
    def batches(self) -> Sequence[pa.RecordBatch]:
        """All rows, zero-copy, with every stored column checked."""
        self._check_offsets(self.schema.names)
        return self._raw

    @cached_property
    def table(self) -> pa.Table:
        """All rows, zero-copy, with every stored column checked."""
        return pa.Table.from_batches(self.batches, schema=self.schema)

    def select(self, columns: Sequence[str]) -> pa.Table:
        """All rows of these columns, zero-copy; the other columns are not touched."""
        self._check_offsets(columns)
        schema = pa.schema([self.schema.field(name) for name in columns])
        return pa.Table.from_batches([batch.select(list(columns)) for batch in self._raw], schema=schema)

    def take(self, positions: Positions, columns: Sequence[str]) -> pa.Table:
        """Rows at these positions, in this order; columns that the segment lacks are left out."""
        present = [name for name in columns if self.schema.get_field_index(name) >= 0]
        self._check_offsets(present)
        if not self._raw:
            return pa.schema([self.schema.field(name) for name in present]).empty_table()
        return take_rows(self._raw, self._starts, positions, present)

    # ---- row numbers

    @cached_property
    def row_numbers(self) -> RowNumbers:
        """uint64 [rows], ascending: mapped when there is one batch, else a copy (8 bytes a row)."""
        return self._row_batches[0] if len(self._row_batches) == 1 else np.concatenate([_NO_ROWS, *self._row_batches])

    @cached_property
    def _row_batches(self) -> list[RowNumbers]:
        return [batch.column(ROW).to_numpy() for batch in self._raw]

    def row_numbers_at(self, positions: Positions) -> RowNumbers:
        """The row numbers at these positions: uint64 [len(positions)]."""
        if self._gapless:
            return positions.astype(np.uint64) + np.uint64(self.entry.min_row)
        if len(self._row_batches) == 1:
            return self._row_batches[0][positions]
        numbers = np.empty(len(positions), np.uint64)
        owner = np.searchsorted(self._starts, positions, side="right") - 1
        for batch in np.unique(owner):
            here = owner == batch
            numbers[here] = self._row_batches[batch][positions[here] - self._starts[batch]]
        return numbers

    def locate(self, row_numbers: RowNumbers) -> Positions:
        """The position of each row number, or -1: int64 [len(row_numbers)]."""
        wanted = np.asarray(row_numbers, dtype=np.uint64)
        if self._gapless:
            offset = wanted - np.uint64(self.entry.min_row)  # a smaller number wraps around to a huge one
            return np.where(offset < self.rows, offset, np.uint64(2**64 - 1)).astype(np.int64)
        positions = np.full(len(wanted), -1, np.int64)
        if not self._row_batches or len(wanted) == 0:
            return positions
        owner = np.searchsorted(self._first_rows, wanted, side="right") - 1
        for batch in np.unique(owner[owner >= 0]):
            here = np.flatnonzero(owner == batch)
            numbers = self._row_batches[batch]
            place = np.minimum(np.searchsorted(numbers, wanted[here]), len(numbers) - 1)
            found = numbers[place] == wanted[here]
            positions[here[found]] = place[found] + self._starts[batch]
        return positions

    @cached_property
    def _gapless(self) -> bool:
        """Row numbers rise, so first, last and count can say that none is left out: then nothing has to be looked up."""
        entry = self.entry
        return entry.rows > 0 and entry.max_row - entry.min_row + 1 == entry.rows

    @cached_property
    def _first_rows(self) -> RowNumbers:
        return np.array([numbers[0] for numbers in self._row_batches], np.uint64)

    # ---- ids

    @cached_property
    def ids(self) -> IdColumn:
        """The prepared handle on the ids."""
        return IdColumn(pa.chunked_array([batch.column(ID) for batch in self._raw], type=self.schema.field(ID).type))

    @cached_property
    def _table(self) -> IdTable:
        name = self.entry.path(IDS_FILE)
        if IDS_FILE in self._files:
            try:
                return IdTable.open(self._files[IDS_FILE], self.ids, name=name)
            except CorruptionError as error:
                self._report(str(error))
        return self._rebuilt_table()

    def _rebuilt_table(self) -> IdTable:
        try:
            return IdTable.open(IdTable.build(self.ids), self.ids, name=self.entry.path(IDS_FILE))
        except (AlreadyExistsError, SchemaError) as error:
            raise CorruptionError(f"{self.entry.path(ROWS_FILE)}: column id: {error}; {ADVICE}") from error

    def find(self, ids: Ids | Sequence[str] | Sequence[int]) -> Positions:
        """The position of each id, dead or alive, or -1: int64 [len(ids)]."""
        try:
            return self._table.find(ids)
        except CorruptionError as error:
            self._report(str(error))
            self._table = self._rebuilt_table()
            return self._table.find(ids)

    def find_one(self, id: str | int) -> int:
        """The position of one id, dead or alive, or -1."""
        try:
            return self._table.find_one(id)
        except CorruptionError:
            return int(self.find([id])[0])

    def ids_at(self, positions: Positions) -> npt.NDArray[Any]:
        """The ids at these positions: an object array of str, or an int64 array."""
        return self.ids.gather(positions)

    def pack_hits(self, positions: Positions, distances: npt.NDArray[np.float32]) -> bytes:
        """One query's hits, of which there are some, in the compact form of docs/protocol.md."""
        if self._gapless:
            return self.ids.pack_hits(positions, distances, int(positions[-1]) + self.entry.min_row)
        return self.ids.pack_hits(positions, distances, int(self.row_numbers_at(positions[-1:])[0]))

    # ---- derived structures

    @cached_property
    def vectors(self) -> Vectors:
        """The vectors by reference, as the kernel takes them."""
        type_ = self.schema.field(VECTOR).type
        return Vectors(pa.chunked_array([batch.column(VECTOR) for batch in self._raw], type=type_))

    @cached_property
    def graph(self) -> Graph | None:
        """The graph, used in place; None while it is not built, or if it is damaged (`damage` says so then)."""
        if GRAPH_FILE not in self._files:
            return None
        try:
            return Graph.open(self._files[GRAPH_FILE], self.vectors, self.metric)
        except CorruptionError as error:
            self._report(f"{self.entry.path(GRAPH_FILE)}: {error}")
            return None

    def zone_map(self, column: str) -> Zone | None:
        """(min, max, null count) of a column or a struct's dotted path over all rows, dead or alive; None if unknown.

        `min` and `max` are None if and only if all rows are null, as they are in a column that came later.
        """
        if self.schema.get_field_index(column) < 0 and "." not in column:
            return Zone(None, None, self.rows)
        return self._zones.get(column) if self._zones is not None else None

    @cached_property
    def _zones(self) -> Zones | None:
        if ZONES_FILE not in self._files:
            return None
        try:
            return Zones(self._files[ZONES_FILE], rows=self.rows, name=self.entry.path(ZONES_FILE))
        except CorruptionError as error:
            self._report(str(error))
            return None

    # ---- damage

    def verify(self) -> list[str]:
        """Read everything: digests, values, order of rows, every id, the graph. What is wrong, or nothing."""
        problems = list(self.damage)
        for name, buffer in self._files.items():
            if digest(buffer) != self.entry.files[name].digest:
                problems.append(f"{self.entry.path(name)}: the digest differs from the manifest's")
        try:
            self.table.validate(full=True)
            if not bool((self.row_numbers[1:] > self.row_numbers[:-1]).all()):
                problems.append(f"{self.entry.path(ROWS_FILE)}: the row numbers are not ascending")
            problems += self._table.check()
            problems += self._value_problems()
            if self.graph is not None:
                problems += [f"{self.entry.path(GRAPH_FILE)}: {problem}" for problem in self.graph.check()]
        except (CorruptionError, pa.ArrowException, ValueError) as error:
            problems.append(f"{self.entry.path(ROWS_FILE)}: {error}")
        return list(dict.fromkeys([*problems, *self.damage]))

    def _value_problems(self) -> list[str]:
        """Vectors that cannot be, zones that are not those of the rows."""
        vectors = (batch.column(VECTOR).flatten().to_numpy() for batch in self._raw)
        finite = all(bool(np.isfinite(values).all()) for values in vectors)
        problems = [] if finite else [f"{self.entry.path(ROWS_FILE)}: a vector is not finite"]
        wrong = self._zones.problem(self._raw) if self._zones is not None else None
        return [*problems, wrong] if wrong else problems

    def _report(self, problem: str) -> None:
        logger.warning("%s; the rows are not affected", problem)
        self.damage = (*self.damage, problem)

    def _check_offsets(self, columns: Sequence[str]) -> None:
        for name in columns:
            if name in self._checked:
                continue
            chunks = [batch.column(name) for batch in self._raw]
            segment_format.check_arrays(chunks, f"{self.entry.path(ROWS_FILE)}: column {name!r}")
            self._checked.add(name)


def load_dead(directory: Directory, entry: SegmentEntry) -> DeadRows:
    """The dead rows that the manifest states for this segment; CorruptionError naming the file if it is damaged."""
    if entry.dead is None:
        return DeadRows.none(entry.rows)
    name = entry.path(entry.dead.file)
    data = map_published(directory, name, entry.dead.length, entry.dead.digest).to_pybytes()
    dead = DeadRows.from_bytes(data, rows=entry.rows, name=name)
    if dead.count != entry.dead.count:
        raise CorruptionError(f"{name}: {dead.count} dead rows, but the manifest says {entry.dead.count}; {ADVICE}")
    return dead


_NO_ROWS: RowNumbers = np.empty(0, np.uint64)
