"""Fields: which column does a name or dotted path in a filter mean, and where are its values in a table?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from nearrow import compute as pc
from nearrow.errors import FilterError
from nearrow.query.filter.tree import Field
from nearrow.schema import nearest_name
from nearrow.schema.types import is_list, struct_fields


def resolve(name: str, schema: pa.Schema) -> Field:
    """The field that `name` means: a column of exactly that name, else the longest column name that it starts with."""
    if not isinstance(name, str):
        raise FilterError(f"field names are strings, not {name!r}")
    steps = name.split(".")
    for length in range(len(steps), 0, -1):
        column = ".".join(steps[:length])
        position = schema.get_field_index(column)
        if position >= 0:
            return descend(name, column, schema.field(position).type, tuple(steps[length:]))
    raise FilterError(f"unknown field {name!r}{nearest_name(name, all_paths(schema))}")


def descend(name: str, column: str, type: pa.DataType, steps: tuple[str, ...]) -> Field:
    for taken, step in enumerate(steps):
        if is_list(type) or pt.is_null(type):
            return Field(name, column, steps[:taken], type, steps[taken:])
        children = {field.name: field.type for field in struct_fields(type)} if pt.is_struct(type) else {}
        if step not in children:
            reason = nearest_name(step, children) if children else f"; {'.'.join([column, *steps[:taken]])} is {type}"
            raise FilterError(f"unknown field {name!r}: no {step!r} there{reason}")
        type = children[step]  # noqa: A001
    return Field(name, column, steps, type)


def element_of(field: Field) -> Field:
    """The field of one element of a list field: its name is empty, its path starts at the element."""
    return descend("", "", field.type.value_type, field.rest)


def all_paths(schema: pa.Schema) -> list[str]:
    paths: list[str] = []

    def collect(path: str, type: pa.DataType) -> None:
        paths.append(path)
        if is_list(type):
            type = type.value_type  # noqa: A001
        if pt.is_struct(type):
            for field in struct_fields(type):
                collect(f"{path}.{field.name}", field.type)

    for field in schema:
        collect(field.name, field.type)
    return paths


def walk(array: pa.Array, steps: tuple[str, ...]) -> pa.Array:
    """The values at the end of `steps`; null where a struct on the way is null or older than the field."""
    for step in steps:
        position = array.type.get_field_index(step) if pt.is_struct(array.type) else -1
        if position < 0:
            return pa.nulls(len(array))
        array = pc.struct_field(array, [position])
    return array


def chunks_of(table: pa.Table, field: Field) -> list[pa.Array]:
    """The values of `field` in `table`, chunk by chunk; nulls if the table is older than the column."""
    position = table.schema.get_field_index(field.column)
    if position < 0:
        return [pa.nulls(table.num_rows)]
    chunks = table.column(position).chunks
    return [walk(chunk, field.path) for chunk in chunks] if field.path else chunks


def list_parts(array: pa.Array) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """(offsets from 0, values) of a list array; a null list is empty."""
    if array.null_count == 0 and len(array) and (pt.is_list(array.type) or pt.is_large_list(array.type)):
        places = array.offsets.to_numpy()
        first, last = int(places[0]), int(places[-1])
        return np.subtract(places, first, dtype=np.int64), array.values.slice(first, last - first)
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    offsets = np.zeros(len(array) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets, array.flatten()
