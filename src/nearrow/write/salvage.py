"""Salvage: which rows of a damaged rows.arrow can still be read?

A batch is read on its own, from the footer or, if that is damaged, from the stream in front of it. A batch that is not
sound is halved until the bad rows are alone. A sound ids.bin proves which ids are as they were written; without it an id
that is there twice is nobody's. One digest covers the whole file, so a row that reads well may still hold a changed
value: who calls must say so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearrow.errors import CorruptionError, NearrowError
from nearrow.index.ids import IdTable, Positions
from nearrow.segment.deletes import DeadRows
from nearrow.segment.format import (
    ID,
    IDS_FILE,
    ROW,
    ROWS_FILE,
    VECTOR,
    check_arrays,
    check_columns,
    check_rows_schema,
    stored_batch_rows,
)
from nearrow.segment.rows import fill_columns
from nearrow.storage.directory import Directory
from nearrow.storage.manifest import SegmentEntry
from nearrow.storage.published import map_published

DAMAGE = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, MemoryError, OverflowError, NearrowError)
STREAM_OFFSET = 8  # an Arrow file is this much magic, a stream, and a footer


Piece = tuple[int, pa.RecordBatch]
"""Rows that lie together, and the position of the first."""


@dataclass
class Salvaged:
    """Batches with `_row` and all columns of the collection's schema, ascending.

    `lost`: the positions that are alive and cannot be read; `bad_ids`: the ids of those, where they can.
    """

    batches: list[pa.RecordBatch] = field(default_factory=list)
    lost: Positions = field(default_factory=lambda: np.empty(0, np.int64))
    bad_ids: list[str | int] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return sum(batch.num_rows for batch in self.batches)


def salvage(directory: Directory, entry: SegmentEntry, dead: DeadRows, schema: pa.Schema, dimension: int) -> Salvaged:
    """The rows of a segment that can be read and are not dead."""
    found = Salvaged()
    full = schema.insert(0, pa.field(ROW, pa.uint64()))
    pieces = [
        (first, piece)
        for start, batch in _batches(directory, entry, schema)
        for first, piece in _sound(start, batch)
        if piece.column(VECTOR).type.list_size == dimension and first + piece.num_rows <= entry.rows
    ]
    known = _known_ids(directory, entry, pieces, schema.field(ID).type)
    kept = np.zeros(entry.rows, np.bool_)
    last = entry.min_row - 1
    for first, piece in pieces:
        positions = np.arange(first, first + piece.num_rows, dtype=np.int64)
        alive = ~dead.are_dead(positions)
        vectors = piece.column(VECTOR).flatten().to_numpy(zero_copy_only=False).reshape(-1, dimension)
        good = alive & known[positions] & np.isfinite(vectors).all(axis=1)
        numbers = piece.column(ROW).to_numpy().copy()
        for index in np.flatnonzero(good).tolist():
            least = entry.min_row + first + index  # the numbers rise, so the ends leave each place few, often one
            greatest = entry.max_row - (entry.rows - 1 - first - index)
            if least == greatest:
                numbers[index] = least
            good[index] = max(last + 1, least) <= numbers[index] <= greatest
            if good[index]:
                last = int(numbers[index])
        kept[positions] = good
        found.bad_ids += piece.column(ID).filter(pa.array(alive & ~good & known[positions])).to_pylist()
        whole = piece.set_column(piece.schema.get_field_index(ROW), ROW, pa.array(numbers))
        rows = fill_columns(pa.Table.from_batches([whole.filter(pa.array(good))]), full).combine_chunks()
        found.batches += [one for one in rows.to_batches() if one.num_rows]
    every = np.arange(entry.rows, dtype=np.int64)
    found.lost = every[~kept & ~dead.are_dead(every)]
    return found


def _known_ids(
    directory: Directory, entry: SegmentEntry, pieces: Sequence[Piece], type_: pa.DataType
) -> npt.NDArray[np.bool_]:
    """At which positions the id can be believed."""
    known = np.zeros(entry.rows, np.bool_)
    nobody = pa.scalar("" if pa.types.is_string(type_) else 0, type_)
    chunks, at = [], 0
    for first, piece in pieces:
        chunks += [pa.repeat(nobody, first - at), piece.column(ID)]
        at = first + piece.num_rows
        known[first:at] = True
    chunks.append(pa.repeat(nobody, entry.rows - at))
    ids = pa.chunked_array(chunks, type_)
    try:
        file = entry.files[IDS_FILE]
        table = IdTable.open(map_published(directory, entry.path(IDS_FILE), file.length, file.digest), ids)
        return np.asarray(known & (table.find(ids) == np.arange(entry.rows)))
    except (CorruptionError, KeyError):
        values = np.array(ids.to_pylist(), dtype=object)
        counts = Counter(values[known].tolist())
        known[known] = [counts[value] == 1 for value in values[known].tolist()]
        return known


def _batches(directory: Directory, entry: SegmentEntry, schema: pa.Schema) -> Iterator[Piece]:
    """Each batch that can be read, and the position of its first row."""
    try:
        buffer = directory.map(entry.path(ROWS_FILE))
        file = pa.ipc.open_file(buffer)
        batch_rows = _check_schema(file.schema, schema, entry)
        count = file.num_record_batches
    except DAMAGE:
        yield from _streamed(directory, entry, schema)
        return
    for index in range(count):
        try:
            batch = file.get_batch(index)
        except DAMAGE:
            continue  # the caller counts the rows that are missing
        yield index * batch_rows, batch


def _streamed(directory: Directory, entry: SegmentEntry, schema: pa.Schema) -> Iterator[Piece]:
    batches: list[Piece] = []
    try:
        stream = pa.ipc.open_stream(directory.map(entry.path(ROWS_FILE)).slice(STREAM_OFFSET))
        batch_rows = _check_schema(stream.schema, schema, entry)
        while True:
            batches.append((len(batches) * batch_rows, stream.read_next_batch()))
    except (StopIteration, *DAMAGE):
        yield from batches


def _check_schema(stored: pa.Schema, schema: pa.Schema, entry: SegmentEntry) -> int:
    """Rows in a batch."""
    check_rows_schema(stored)
    check_columns(stored, schema, entry.path(ROWS_FILE))
    return stored_batch_rows(stored, entry.id)


def _sound(start: int, batch: pa.RecordBatch) -> Iterator[Piece]:
    """The rows whose every value is well-formed, in order, in pieces with the position of the first."""
    if batch.num_rows == 0:
        return
    try:
        for column, name in zip(batch.columns, batch.schema.names, strict=True):
            check_arrays([column], name)
        batch.validate(full=True)
        if any(batch.column(name).null_count for name in (ROW, ID, VECTOR)):
            raise CorruptionError("nulls where none may be")
    except DAMAGE:
        if batch.num_rows > 1:
            half = batch.num_rows // 2
            yield from _sound(start, batch.slice(0, half))
            yield from _sound(start + half, batch.slice(half))
        return
    yield start, batch
