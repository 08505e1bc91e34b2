"""Salvage: which rows of a damaged rows.arrow can still be read?

A batch is read on its own, from the footer or, if that is damaged, from the stream in front of it. A batch that is not
sound is halved until the bad rows are alone. One digest covers the whole file, so a row that reads well may still hold a
changed value: who calls must say so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from nearrow.errors import CorruptionError, NearrowError
from nearrow.segment.deletes import DeadRows
from nearrow.segment.format import (
    ID,
    ROW,
    ROWS_FILE,
    VECTOR,
    check_array,
    check_columns,
    check_rows_schema,
    stored_batch_rows,
)
from nearrow.segment.rows import fill_columns
from nearrow.storage.directory import Directory
from nearrow.storage.manifest import SegmentEntry

DAMAGE = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, MemoryError, OverflowError, NearrowError)
STREAM_OFFSET = 8  # an Arrow file is this much magic, a stream, and a footer


@dataclass
class Salvaged:
    """Batches with `_row` and all columns of the collection's schema, ascending; `bad_ids` of rows refused."""

    batches: list[pa.RecordBatch] = field(default_factory=list)
    bad_ids: list[str | int] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return sum(batch.num_rows for batch in self.batches)


def salvage(directory: Directory, entry: SegmentEntry, dead: DeadRows, schema: pa.Schema, dimension: int) -> Salvaged:
    """The rows of a segment that can be read and are not dead."""
    found = Salvaged()
    full = schema.insert(0, pa.field(ROW, pa.uint64()))
    seen: set[str | int] = set()
    last = entry.min_row - 1
    for start, batch in _batches(directory, entry, schema):
        for first, piece in _sound(start, batch):
            if piece.column(VECTOR).type.list_size != dimension or first + piece.num_rows > entry.rows:
                continue
            alive = ~dead.are_dead(np.arange(first, first + piece.num_rows, dtype=np.int64))
            vectors = piece.column(VECTOR).flatten().to_numpy(zero_copy_only=False).reshape(-1, dimension)
            good = alive & np.isfinite(vectors).all(axis=1)
            numbers, ids = piece.column(ROW).to_pylist(), piece.column(ID).to_pylist()
            for index in np.flatnonzero(alive).tolist():
                number, row_id = numbers[index], ids[index]
                good[index] &= last < number <= entry.max_row and row_id not in seen
                if good[index]:
                    last = number
                    seen.add(row_id)
                else:
                    found.bad_ids.append(row_id)
            kept = fill_columns(pa.Table.from_batches([piece.filter(pa.array(good))]), full).combine_chunks()
            found.batches += [one for one in kept.to_batches() if one.num_rows]
    return found


def _batches(directory: Directory, entry: SegmentEntry, schema: pa.Schema) -> Iterator[tuple[int, pa.RecordBatch]]:
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


def _streamed(directory: Directory, entry: SegmentEntry, schema: pa.Schema) -> Iterator[tuple[int, pa.RecordBatch]]:
    batches: list[tuple[int, pa.RecordBatch]] = []
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


def _sound(start: int, batch: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The rows whose every value is well-formed, in order, in pieces with the position of the first."""
    if batch.num_rows == 0:
        return
    try:
        for column, name in zip(batch.columns, batch.schema.names, strict=True):
            check_array(column, name)
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
