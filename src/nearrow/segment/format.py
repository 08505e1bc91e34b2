"""Format: which files make up a segment, and what must be in them?

segments/<id>/rows.arrow    the rows; an Arrow IPC file that any Arrow tool reads
segments/<id>/zones.arrow   min, max and null count of each column
segments/<id>/ids.bin       id → position (nearrow.index.ids)
segments/<id>/graph.bin     HNSW graph (nearrow.index.hnsw); comes later than the others
segments/<id>/deletes-<v>   which rows are dead (nearrow.segment.deletes); a new file for each version

All but rows.arrow are derived: they can be rebuilt from it. Byte tables: docs/formats/segment.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from nearrow.errors import CorruptionError, IncompatibleFormatError, InvalidArgumentError, SchemaError
from nearrow.index.columns import Offsets, in_order, positions_of
from nearrow.index.ids import is_id_type
from nearrow.storage.manifest import SegmentEntry

SEGMENTS_FOLDER = "segments"
ROWS_FILE = "rows.arrow"
ZONES_FILE = "zones.arrow"
IDS_FILE = "ids.bin"
GRAPH_FILE = "graph.bin"
DELETES_PREFIX = "deletes-"

ROW, ID, VECTOR = "_row", "id", "vector"
FORMAT_VERSION = 1
VERSION_KEY, SEGMENT_KEY, BATCH_ROWS_KEY, PADDING_KEY = (
    b"nearrow.version",
    b"nearrow.segment",
    b"nearrow.batch_rows",
    b"nearrow.padding",
)

BATCH_ROWS = 1 << 16
BATCH_BYTES_MAX = 1 << 28  # a batch is built in memory, so wide rows get fewer rows per batch
VECTOR_ALIGNMENT = 64
ADVICE = "run check(), then restore a snapshot"
EAGER_DIGEST_BYTES = 1 << 20  # files up to this size are digested at open (≈ 0.1 ms); bigger ones by verify()


def segment_folder(segment_id: str) -> str:
    """The segment's folder in the collection's directory."""
    return f"{SEGMENTS_FOLDER}/{segment_id}"


def segment_file(segment_id: str, name: str) -> str:
    """The path of one of the segment's files in the collection's directory."""
    return f"{SEGMENTS_FOLDER}/{segment_id}/{name}"


def rows_schema(schema: pa.Schema, segment_id: str, batch_rows: int) -> pa.Schema:
    """The schema as it stands in rows.arrow: `vector` first, so that its place in the file can be aligned."""
    order = [VECTOR, ROW, ID, *(name for name in schema.names if name not in (VECTOR, ROW, ID))]
    metadata = {
        VERSION_KEY: str(FORMAT_VERSION).encode(),
        SEGMENT_KEY: segment_id.encode(),
        BATCH_ROWS_KEY: str(batch_rows).encode(),
    }
    return pa.schema([schema.field(name) for name in order], metadata=metadata)


def check_rows_schema(schema: pa.Schema) -> None:
    """SchemaError unless rows of this schema can be a segment's."""
    for name in (ROW, ID, VECTOR):
        if len(schema.get_all_field_indices(name)) != 1:
            raise SchemaError(f"a segment needs exactly one column {name!r}; there are {schema.names}")
    if schema.field(ROW).type != pa.uint64():
        raise SchemaError(f"column {ROW!r} must be uint64, not {schema.field(ROW).type}")
    if not is_id_type(schema.field(ID).type):
        raise SchemaError(f"column {ID!r} must be string or int64, not {schema.field(ID).type}")
    if not is_vector_type(schema.field(VECTOR).type):
        raise SchemaError(
            f"column {VECTOR!r} must be a fixed-size list of float32 or float16, not {schema.field(VECTOR).type}"
        )
    if len(set(schema.names)) != len(schema.names):
        raise SchemaError(f"column names repeat: {schema.names}")
    for field in schema:
        if not is_storable(field.type):
            raise SchemaError(f"column {field.name!r}: a segment cannot store {field.type}; cast it")


def is_vector_type(type_: pa.DataType) -> bool:
    """Whether vectors may be stored like this: FixedSizeList of float32 or float16."""
    if not pa.types.is_fixed_size_list(type_) or type_.list_size < 1:
        return False
    return bool(pa.types.is_float32(type_.value_type) or pa.types.is_float16(type_.value_type))


def is_storable(type_: pa.DataType) -> bool:
    """Plain, variable-length and nested Arrow types; no dictionaries, unions, views, run-end encoding or extensions."""
    types = pa.types
    if types.is_null(type_) or types.is_primitive(type_) or types.is_decimal(type_):
        return True
    if types.is_fixed_size_binary(type_) or (has_offsets(type_) and not types.is_nested(type_)):
        return True
    if types.is_fixed_size_list(type_) or types.is_list(type_) or types.is_large_list(type_):
        return is_storable(type_.value_type)
    return bool(types.is_struct(type_)) and all(is_storable(field.type) for field in type_)


def has_offsets(type_: pa.DataType) -> bool:
    """Whether arrays of this type have an offsets buffer, whose damage native code would follow blindly."""
    types = pa.types
    return bool(
        types.is_string(type_)
        or types.is_binary(type_)
        or types.is_large_string(type_)
        or types.is_large_binary(type_)
        or types.is_list(type_)
        or types.is_large_list(type_)
    )


def checked_batch_rows(batch_rows: int) -> int:
    """`batch_rows`, if it is a power of two: then position → (batch, row) is a shift and a mask."""
    if batch_rows < 1 or batch_rows & (batch_rows - 1):
        raise InvalidArgumentError(f"batch_rows must be a power of two, not {batch_rows}")
    return batch_rows


def stored_batch_rows(schema: pa.Schema, segment_id: str) -> int:
    """Rows per batch as stated by rows.arrow; ValueError if the file is not of this segment."""
    metadata = schema.metadata or {}
    version = metadata.get(VERSION_KEY, b"")
    if not version.isdigit():
        raise ValueError("not the rows of a segment (no format version)")
    if int(version) != FORMAT_VERSION:
        raise IncompatibleFormatError(f"format {int(version)}, this Nearrow reads {FORMAT_VERSION}; upgrade Nearrow")
    if metadata.get(SEGMENT_KEY) != segment_id.encode():
        raise ValueError(f"belongs to segment {metadata.get(SEGMENT_KEY)!r}, not {segment_id!r}")
    return checked_batch_rows(int(metadata.get(BATCH_ROWS_KEY, b"0")))


def check_batches(batches: Sequence[pa.RecordBatch], batch_rows: int, rows: int) -> None:
    """ValueError (Arrow's, too) unless the batches fit together and native code may use `_row`, `id` and `vector`."""
    for index, batch in enumerate(batches):
        batch.validate()
        full = index < len(batches) - 1
        if batch.num_rows == 0 or batch.num_rows > batch_rows or (full and batch.num_rows != batch_rows):
            raise ValueError(f"batch {index} has {batch.num_rows} rows of {batch_rows}")
        vectors = batch.column(VECTOR)
        for array in (batch.column(ROW), batch.column(ID), vectors, vectors.flatten()):
            if array.null_count:
                raise ValueError(f"batch {index} has nulls where none may be")
            if any(buffer is not None and buffer.address % 8 for buffer in array.buffers()):
                raise ValueError(f"batch {index} has a buffer that is not aligned to 8 bytes")
    total = sum(batch.num_rows for batch in batches)
    if total != rows:
        raise ValueError(f"{total} rows, but the manifest says {rows}")


def reads_as(stored: pa.DataType, current: pa.DataType) -> bool:
    """Whether a column stored like this can be read as the collection's type of today: types only gain struct fields."""
    if stored.equals(current) or pa.types.is_null(stored):
        return True
    if pa.types.is_list(stored) and pa.types.is_list(current):
        return reads_as(stored.value_type, current.value_type)
    if pa.types.is_struct(stored) and pa.types.is_struct(current):
        today = {field.name: field.type for field in current}
        return all(field.name in today and reads_as(field.type, today[field.name]) for field in stored)
    return False


def open_rows(buffer: pa.Buffer, entry: SegmentEntry) -> tuple[pa.Schema, list[pa.RecordBatch]]:
    """Schema and mapped batches; CorruptionError if they are not what the manifest says. Reads no rows but the ends."""
    name = entry.path(ROWS_FILE)
    try:
        file = pa.ipc.open_file(buffer)
        batch_rows = stored_batch_rows(file.schema, entry.id)
        check_rows_schema(file.schema)
        batches = [file.get_batch(i) for i in range(file.num_record_batches)]
        check_batches(batches, batch_rows, entry.rows)
        ends = (batches[0].column(ROW)[0].as_py(), batches[-1].column(ROW)[-1].as_py()) if batches else (0, 0)
        if ends != (entry.min_row, entry.max_row):
            raise ValueError(f"rows {ends[0]}..{ends[1]}, but the manifest says {entry.min_row}..{entry.max_row}")
    except IncompatibleFormatError as error:
        raise IncompatibleFormatError(f"{name}: {error}") from None
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, MemoryError, OverflowError) as error:
        raise CorruptionError(f"{name}: {error}; {ADVICE}") from error
    return file.schema.remove_metadata(), batches


def check_columns(stored: pa.Schema, schema: pa.Schema, name: str) -> None:
    """CorruptionError unless the stored columns are columns of the collection's schema, perhaps with fewer struct fields."""
    try:
        for field in stored:
            index = schema.get_field_index(field.name)
            if index < 0 and field.name != ROW:
                raise ValueError(f"column {field.name!r} is not in the collection's schema")
            if index >= 0 and not reads_as(field.type, schema.field(index).type):
                raise ValueError(
                    f"column {field.name!r} is {field.type}, but the collection's is {schema.field(index).type}"
                )
    except ValueError as error:  # a damaged field name is one, too: UnicodeDecodeError
        raise CorruptionError(f"{name}: {error}; {ADVICE}") from error


def check_arrays(arrays: Sequence[pa.Array], what: str) -> None:
    """CorruptionError unless every offset of the arrays, at any depth, is in order and inside its values.

    Arrow's own cheap validation looks at the first and the last offset only; the full one reads all the text as well.
    """
    positions: list[Offsets] = []
    try:
        for array in arrays:
            array.validate()
            _collect_offsets(array, positions)
        if not in_order(positions):  # of all arrays at once, for it is shared by threads
            raise ValueError("the offsets are not in order")
    except (pa.ArrowException, ValueError) as error:
        raise CorruptionError(f"{what}: {error}; {ADVICE}") from error


def _collect_offsets(array: pa.Array, positions: list[Offsets]) -> None:
    """Appends all positions in the array, at any depth; ValueError unless they can be read."""
    type_ = array.type
    for buffer in array.buffers():
        if buffer is not None and buffer.address % 8:
            raise ValueError("a buffer is not aligned to 8 bytes")
    if has_offsets(type_) and len(array):
        buffer = array.buffers()[1]
        found = positions_of(array)
        if buffer is None or buffer.size < (array.offset + len(array) + 1) * (8 if found[3] else 4):
            raise ValueError("the offsets are too short")
        positions.append(found)
    if pa.types.is_struct(type_):
        for index in range(type_.num_fields):
            _collect_offsets(array.field(index), positions)
    elif pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_):
        _collect_offsets(array.values, positions)
