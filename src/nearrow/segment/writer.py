"""Writer: how do rows become an immutable segment?

Rows stream through in bounded memory: re-cut into batches of equal size, checked, written, digested on the way (nothing
is read twice). The id table is built from the file just written, still in the page cache. When `write_segment` returns,
files and folder are durable; they count once a manifest names them, so a failure leaves only what gc retires.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeAlias

import pyarrow as pa

from nearrow.errors import InvalidArgumentError, SchemaError
from nearrow.index.ids import IdColumn, IdTable
from nearrow.segment.deletes import DeadRows
from nearrow.segment.format import (
    BATCH_BYTES_MAX,
    BATCH_ROWS,
    DELETES_PREFIX,
    GRAPH_FILE,
    ID,
    IDS_FILE,
    PADDING_KEY,
    ROW,
    ROWS_FILE,
    VECTOR,
    VECTOR_ALIGNMENT,
    ZONES_FILE,
    check_rows_schema,
    checked_batch_rows,
    rows_schema,
    segment_file,
    segment_folder,
)
from nearrow.segment.zones import ZoneBuilder
from nearrow.storage.directory import BytesLike, Directory, OutputFile
from nearrow.storage.manifest import DeadEntry, FileEntry, SegmentEntry
from nearrow.storage.published import Digester

Rows: TypeAlias = pa.Table | pa.RecordBatch | pa.RecordBatchReader | Iterable[pa.RecordBatch]


def write_segment(
    directory: Directory,
    segment_id: str,
    rows: Rows,
    *,
    schema: pa.Schema | None = None,
    batch_rows: int | None = None,
    batch_bytes: int = BATCH_BYTES_MAX,
) -> SegmentEntry:
    """Write rows.arrow, zones.arrow and ids.bin of a new segment, durably, and return its manifest entry.

    `rows` have the columns `_row` (uint64, strictly ascending), `id` (unique), `vector` and any others. `schema` is only
    needed for an iterable that may be empty. `batch_rows`, a power of two, is by default 2^16 or, for
    wide rows, as many as `batch_bytes` hold: a batch is put together in memory.
    SchemaError, InvalidArgumentError or AlreadyExistsError (a repeated id) if the rows break these rules.
    """
    schema, batches = _as_batches(rows, schema)
    check_rows_schema(schema)
    first = next(batches, None)
    if batch_rows is None:
        batch_rows = BATCH_ROWS if first is None else _fitting_batch_rows(first, batch_bytes)
    schema = rows_schema(schema, segment_id, checked_batch_rows(batch_rows))
    source = batches if first is None else _chain(first, batches)
    directory.make_folder(segment_folder(segment_id))
    entry = _write_rows(directory, segment_id, schema, _even_batches(source, schema, batch_rows))
    mapped = pa.ipc.open_file(directory.map(entry.path(ROWS_FILE)))
    ids = pa.chunked_array(
        [mapped.get_batch(i).column(ID) for i in range(mapped.num_record_batches)], type=schema.field(ID).type
    )
    entry = _write_file(directory, entry, IDS_FILE, [IdTable.build(IdColumn(ids))])
    directory.sync_folder(entry.folder)
    return entry


def write_graph(directory: Directory, entry: SegmentEntry, parts: Iterable[BytesLike]) -> SegmentEntry:
    """Write graph.bin, durably, and return the entry with it. What a crashed attempt left is replaced."""
    if GRAPH_FILE in entry.files:
        raise InvalidArgumentError(f"{entry.path(GRAPH_FILE)}: the segment has its graph; merge it into a new segment")
    if directory.exists(entry.path(GRAPH_FILE)):
        directory.unlink(entry.path(GRAPH_FILE))
    entry = _write_file(directory, entry, GRAPH_FILE, parts)
    directory.sync_folder(entry.folder)
    return entry


def write_dead(directory: Directory, entry: SegmentEntry, version: int, dead: DeadRows) -> SegmentEntry:
    """Write deletes-<version>, durably, and return the entry with it; without a file if nothing is dead.

    `version` is the number of the manifest that will name it; what a crashed attempt at that one left is replaced.
    """
    if dead.count == 0:
        return replace(entry, dead=None)
    name = f"{DELETES_PREFIX}{version}"
    if directory.exists(entry.path(name)):
        directory.unlink(entry.path(name))
    file = _write_file(directory, entry, name, [dead.to_bytes()]).files[name]
    directory.sync_folder(entry.folder)
    return replace(entry, dead=DeadEntry(name, dead.count, file.length, file.digest))


class _Sink:
    """Where Arrow writes: on to the file, digesting on the way. Closing it leaves the file open, to be synced."""

    def __init__(self, file: OutputFile) -> None:
        self._file = file
        self._digester = Digester()
        self.closed = False

    def write(self, data: BytesLike) -> int:
        written = self._file.write(data)
        self._digester.update(data)
        return written

    def flush(self) -> None:
        self._file.flush()

    def tell(self) -> int:
        return self._file.size

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def entry(self) -> FileEntry:
        return FileEntry(self._file.size, self._digester.hexdigest())


def _write_file(directory: Directory, entry: SegmentEntry, name: str, parts: Iterable[BytesLike]) -> SegmentEntry:
    with directory.create(entry.path(name)) as file:
        sink = _Sink(file)
        for part in parts:
            sink.write(part)
        file.sync()
        return replace(entry, files={**entry.files, name: sink.entry()})


def _write_rows(
    directory: Directory, segment_id: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]
) -> SegmentEntry:
    zones = ZoneBuilder()
    check = _RowCheck()
    with directory.create(segment_file(segment_id, ROWS_FILE)) as file:
        sink = _Sink(file)
        padding: _Padding | None = None
        with pa.ipc.new_file(pa.PythonFile(sink, "w"), schema) as writer:
            for batch in batches:
                check.add(batch)
                zones.add(batch)
                padding = padding or _Padding(batch)
                writer.write_batch(batch, custom_metadata={PADDING_KEY: padding.for_position(sink.tell())})
        file.sync()
        rows_entry = sink.entry()
    entry = SegmentEntry(
        id=segment_id,
        rows=check.rows,
        files={ROWS_FILE: rows_entry},
        min_row=check.first,
        max_row=check.last,
    )
    return _write_file(directory, entry, ZONES_FILE, [zones.to_bytes()])


class _RowCheck:
    """The rules that every row keeps, checked before it is written."""

    def __init__(self) -> None:
        self.rows = 0
        self.first = 0
        self.last = 0

    def add(self, batch: pa.RecordBatch) -> None:
        for name in (ROW, ID, VECTOR):
            if batch.column(name).null_count:
                raise SchemaError(f"column {name!r} holds nulls; every row needs one")
        if batch.column(VECTOR).flatten().null_count:
            raise SchemaError(f"column {VECTOR!r} holds null numbers; every vector must be whole")
        numbers = batch.column(ROW).to_numpy()
        ascending = bool((numbers[1:] > numbers[:-1]).all()) and (self.rows == 0 or int(numbers[0]) > self.last)
        if not ascending:
            raise InvalidArgumentError(f"column {ROW!r} must be strictly ascending; sort the rows by it")
        if self.rows == 0:
            self.first = int(numbers[0])
        self.last = int(numbers[-1])
        self.rows += batch.num_rows


class _Padding:
    """Brings each batch's vectors, its first buffer, to a multiple of 64 bytes in the file.

    pyarrow aligns buffers to 8 bytes only, so the batch's metadata is lengthened by a padding entry of the right size.
    """

    def __init__(self, batch: pa.RecordBatch) -> None:
        row = batch.slice(0, 1)  # the length of the metadata depends on the columns, not on the rows
        schema_bytes, _ = _message_bytes(row, b"")
        self._first_position = len(b"ARROW1\0\0") + schema_bytes
        paddings = [b" " * size for size in range(0, VECTOR_ALIGNMENT, 8)]
        self._by_remainder = {-_message_bytes(row, padding)[1] % VECTOR_ALIGNMENT: padding for padding in paddings}

    def for_position(self, position: int) -> bytes:
        """The padding for a batch that begins there; 0: nothing is written yet, the schema comes first."""
        return self._by_remainder.get((position or self._first_position) % VECTOR_ALIGNMENT, b"")


def _message_bytes(batch: pa.RecordBatch, padding: bytes) -> tuple[int, int]:
    """Bytes of the schema message, and of the batch's message up to its body."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch, custom_metadata={PADDING_KEY: padding})
    stream = sink.getvalue()
    schema_bytes = 8 + struct.unpack_from("<i", stream, 4)[0]
    return schema_bytes, 8 + struct.unpack_from("<i", stream, schema_bytes + 4)[0]


def _as_batches(rows: Any, schema: pa.Schema | None) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    if isinstance(rows, pa.Table):
        return rows.schema, iter(rows.to_batches())
    if isinstance(rows, pa.RecordBatch):
        return rows.schema, iter([rows])
    if isinstance(rows, pa.RecordBatchReader):
        return rows.schema, iter(rows)
    batches = iter(rows)
    if schema is None:
        first = next(batches, None)
        if first is None:
            raise InvalidArgumentError("an empty iterable of batches has no schema; give schema=")
        return first.schema, _chain(first, batches)
    return schema, batches


def _chain(first: pa.RecordBatch, others: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from others


def _fitting_batch_rows(batch: pa.RecordBatch, batch_bytes: int) -> int:
    row_bytes = max(1, batch.nbytes // max(1, batch.num_rows))
    fitting = max(1, min(BATCH_ROWS, batch_bytes // row_bytes))
    return 1 << (fitting.bit_length() - 1)


def _even_batches(batches: Iterator[pa.RecordBatch], schema: pa.Schema, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of exactly `batch_rows`, the last one shorter; a batch that fits is not copied."""
    pending: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        rest = _ordered(batch, schema)
        while rest.num_rows:
            piece = rest.slice(0, batch_rows - count)
            rest = rest.slice(piece.num_rows)
            pending.append(piece)
            count += piece.num_rows
            if count == batch_rows:
                yield _joined(pending)
                pending, count = [], 0
    if pending:
        yield _joined(pending)


def _ordered(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    if batch.num_columns != len(schema):
        raise SchemaError(f"a batch has the columns {batch.schema.names}, the segment {schema.names}")
    columns = []
    for field in schema:
        index = batch.schema.get_field_index(field.name)
        if index < 0 or not batch.schema.field(index).type.equals(field.type):
            raise SchemaError(f"a batch lacks the segment's column {field.name!r} of type {field.type}")
        columns.append(batch.column(index))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    joined = pa.Table.from_batches(batches).combine_chunks().to_batches()
    if len(joined) != 1:
        raise InvalidArgumentError(
            f"{sum(map(len, batches))} rows hold more than 2 GiB of text; give a smaller batch_rows"
        )
    return joined[0]
