"""Evolution: how does the schema grow when new columns come, and how is a batch brought to a schema?

Additive only: columns and struct fields may appear, none disappears or changes its type. Older rows read null there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from nearrow import compute as pc
from nearrow.errors import SchemaError
from nearrow.schema.config import ID_COLUMN, VECTOR_COLUMN, CollectionConfig
from nearrow.schema.types import meet, struct_fields
from nearrow.schema.vectors import vector_type


def base_schema(config: CollectionConfig) -> pa.Schema:
    """The schema of a collection without rows. Its id is null-typed: the first write makes it string or int64."""
    columns = [(ID_COLUMN, pa.null()), (VECTOR_COLUMN, vector_type(config))]
    return pa.schema(columns + [(name, pa.string()) for name in config.text_fields])


def evolve(current: pa.Schema | None, incoming: pa.Schema) -> pa.Schema:
    """`current` widened by `incoming` (normalised types); SchemaError names the column and both types of a conflict."""
    if current is None:
        return incoming
    if incoming is current or incoming.equals(current):
        return current
    types = dict(zip(current.names, current.types, strict=True))
    for field in incoming:
        known = types.get(field.name)
        types[field.name] = field.type if known is None else _meet_column(field.name, known, field.type)
    evolved = pa.schema(list(types.items()))
    return current if evolved.equals(current) else evolved


def _meet_column(name: str, known: pa.DataType, incoming: pa.DataType) -> pa.DataType:
    if name == ID_COLUMN and not pt.is_null(known) and not pt.is_null(incoming) and not known.equals(incoming):
        raise SchemaError(f"the ids of this collection are {known}, but the rows bring {incoming} ids; cast them")
    return meet(known, incoming, name)


def conform(batch: pa.RecordBatch, schema: pa.Schema, *, first_row: int = 0) -> pa.RecordBatch:
    """`batch` with exactly the columns of `schema`: missing ones null, others cast; no copy where nothing changes.

    SchemaError names column, row (from `first_row`) and both types when a value does not fit, e.g. 2.5 in int64.
    """
    if batch.schema.equals(schema):
        return batch
    rows = range(first_row, first_row + batch.num_rows)
    columns = []
    for field in schema:
        position = batch.schema.get_field_index(field.name)
        if position < 0:
            columns.append(pa.nulls(batch.num_rows, field.type))
        else:
            columns.append(cast_column(batch.column(position), field.type, field.name, rows))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def cast_column(column: pa.Array, type: pa.DataType, name: str, rows: Sequence[int]) -> pa.Array:
    """`column` as `type`, without loss; SchemaError names the first row that does not fit, by its number in `rows`."""
    if column.type.equals(type):
        return column
    try:
        return cast_array(column, type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        position = _first_misfit(column, type)
        value = str(column[position].as_py())
        shown = value if len(value) <= 60 else value[:57] + "…"
        raise SchemaError(
            f"column {name!r} has type {type} in this collection, but row {rows[position]} brings "
            f"{shown} ({column.type}), which does not fit without loss; cast it, or use another column name"
        ) from None


def cast_array(array: pa.Array, type: pa.DataType) -> pa.Array:
    """Like array.cast(type), but structs gain the fields that they lack, at any depth."""
    if array.type.equals(type):
        return array
    if pt.is_null(array.type):
        return pa.nulls(len(array), type)
    if pt.is_struct(array.type) and pt.is_struct(type):
        children = dict(zip([f.name for f in struct_fields(array.type)], array.flatten(), strict=True))
        fields = list(struct_fields(type))
        arrays = [
            cast_array(children[f.name], f.type) if f.name in children else pa.nulls(len(array), f.type) for f in fields
        ]
        if not fields:
            return array.cast(type)
        return pa.StructArray.from_arrays(arrays, fields=fields, mask=array.is_null())
    if pt.is_list(array.type) and pt.is_list(type):
        lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
        offsets = np.zeros(len(array) + 1, dtype=np.int32)
        np.cumsum(lengths, out=offsets[1:])
        values = cast_array(array.flatten(), type.value_type)
        mask = array.is_null() if array.null_count else None
        return pa.ListArray.from_arrays(pa.array(offsets), values, type=type, mask=mask)
    return array.cast(type)


def _first_misfit(column: pa.Array, type: pa.DataType) -> int:
    """Position of the first value that cannot be cast, found by halving: a row is bad iff its prefix is."""
    low, high = 0, len(column)  # the prefix of length `low` fits, that of length `high` does not
    while high - low > 1:
        middle = (low + high) // 2
        try:
            cast_array(column.slice(low, middle - low), type)
            low = middle
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            high = middle
    return low
