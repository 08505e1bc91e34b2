"""Types: which Arrow types may metadata have, and what becomes of two that meet in one column?

A column keeps one of few types, so that evolution stays simple: null (nothing but nulls so far), bool, int64, float64,
string, timestamp, date32, time, duration, and lists and structs of those. Widths, dictionaries, views and run-length
encodings are ways to write the same values down; they are decoded on the way in.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.types as pt

from nearrow.errors import SchemaError

NESTING_MAX = 32
TYPE_ADVICE = (
    "metadata may be null, bool, int, float, string, timestamp, date, time, duration, or lists and structs of those; "
    "cast the column or drop it"
)


def is_string(type: pa.DataType) -> bool:
    return bool(pt.is_string(type) or pt.is_large_string(type) or pt.is_string_view(type))


def is_list(type: pa.DataType) -> bool:
    kinds = (pt.is_list, pt.is_large_list, pt.is_fixed_size_list, pt.is_list_view, pt.is_large_list_view)
    return any(kind(type) for kind in kinds)


def struct_fields(type: pa.StructType) -> Iterator[pa.Field]:
    return (type.field(i) for i in range(type.num_fields))


def normalised(type: pa.DataType, path: str, depth: int = 0) -> pa.DataType:
    """The type in which a column given as `type` is kept; SchemaError naming `path` and the type if it cannot be."""
    if depth > NESTING_MAX:
        raise SchemaError(f"column {path!r} is nested more than {NESTING_MAX} levels deep; flatten it")
    if isinstance(type, pa.BaseExtensionType):
        return normalised(type.storage_type, path, depth + 1)
    if pt.is_dictionary(type) or pt.is_run_end_encoded(type):
        return normalised(type.value_type, path, depth + 1)
    if pt.is_null(type) or pt.is_boolean(type):
        return type
    if pt.is_integer(type):
        return pa.int64()
    if pt.is_floating(type):
        return pa.float64()
    if is_string(type):
        return pa.string()
    if pt.is_date(type):
        return pa.date32()
    if pt.is_timestamp(type) or pt.is_time(type) or pt.is_duration(type):
        return type
    if is_list(type):
        return pa.list_(normalised(type.value_type, f"{path}[]", depth + 1))
    if pt.is_struct(type):
        names = [field.name for field in struct_fields(type)]
        if len(set(names)) != len(names):
            raise SchemaError(f"column {path!r} is a struct with a repeated field name: {names}; rename one")
        return pa.struct(
            [pa.field(f.name, normalised(f.type, f"{path}.{f.name}", depth + 1)) for f in struct_fields(type)]
        )
    raise SchemaError(f"column {path!r} has type {type}, which cannot be kept; {TYPE_ADVICE}")


def meet(current: pa.DataType, incoming: pa.DataType, path: str) -> pa.DataType:
    """The type of a column of type `current` after rows of type `incoming` came (both normalised).

    A null type takes any other; a struct gains fields; an int64 or float64 column stays what it is (whether the values
    fit is seen value by value, in `conform`); units and time zones stay those of the column.
    """
    if current.equals(incoming) or pt.is_null(incoming):
        return current
    if pt.is_null(current):
        return incoming
    numeric = (pa.int64(), pa.float64())
    if current in numeric and incoming in numeric:
        return current
    if pt.is_timestamp(current) and pt.is_timestamp(incoming) and (current.tz is None) == (incoming.tz is None):
        return current
    if (pt.is_duration(current) and pt.is_duration(incoming)) or (pt.is_time(current) and pt.is_time(incoming)):
        return current
    if pt.is_list(current) and pt.is_list(incoming):
        return pa.list_(meet(current.value_type, incoming.value_type, f"{path}[]"))
    if pt.is_struct(current) and pt.is_struct(incoming):
        return _meet_structs(current, incoming, path)
    raise SchemaError(
        f"column {path!r} has type {current} in this collection, but the rows bring {incoming}; "
        f"cast them to {current}, or use another column name"
    )


def _meet_structs(current: pa.StructType, incoming: pa.StructType, path: str) -> pa.StructType:
    types = {field.name: field.type for field in struct_fields(current)}
    for field in struct_fields(incoming):
        known = types.get(field.name)
        types[field.name] = field.type if known is None else meet(known, field.type, f"{path}.{field.name}")
    return pa.struct(list(types.items()))
