"""Zones: between which values does each column of a segment lie?

A small Arrow file beside the rows, with two of them: the least and the greatest value of each column (structs by dotted
path). Filters skip whole segments by it. The bounds cover all rows, dead or alive. Format: docs/formats/segment.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import pyarrow as pa

from nearrow import compute as pc
from nearrow.errors import CorruptionError
from nearrow.segment.format import ROW, VECTOR

TEXT_BYTES_MAX = 64  # longer bounds are not kept: such a column is prose
ROWS_KEY, NULLS_KEY, BOUNDS_KEY = b"nearrow.rows", b"nearrow.nulls", b"nearrow.bounds"


class Zone(NamedTuple):
    """`min` and `max` are None if, and only if, every row is null."""

    min: Any
    max: Any
    null_count: int


class ZoneBuilder:
    """Gathers the zones of batches that come one after the other."""

    def __init__(self) -> None:
        self._rows = 0
        self._nulls: dict[str, int] = {}
        self._bounds: dict[str, pa.Array | None] = {}  # [min, max] so far; None: without bounds

    def add(self, batch: pa.RecordBatch) -> None:
        """Takes the next batch into account."""
        self._rows += batch.num_rows
        for name, column in _leaves(batch):
            self._nulls[name] = self._nulls.get(name, 0) + column.null_count
            if name not in self._bounds:
                self._bounds[name] = _bounds(column)
                continue
            before, now = self._bounds[name], _bounds(column)
            together = None if before is None or now is None else _bounds(pa.concat_arrays([before, now]))
            self._bounds[name] = together

    def to_bytes(self) -> pa.Buffer:
        """The content of zones.arrow."""
        fields, columns = [], []
        for name, bounds in self._bounds.items():
            known = bounds is not None and not _is_long(bounds)
            column: pa.Array = bounds if known else pa.nulls(2)
            metadata = {NULLS_KEY: str(self._nulls[name]).encode(), BOUNDS_KEY: b"1" if known else b"0"}
            fields.append(pa.field(name, column.type, metadata=metadata))
            columns.append(column)
        schema = pa.schema(fields, metadata={ROWS_KEY: str(self._rows).encode()})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, schema) as writer:
            if fields:
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
        return sink.getvalue()


class Zones:
    """The zones of one segment, as read from its file."""

    def __init__(self, buffer: pa.Buffer, *, rows: int, name: str) -> None:
        """REQUIRES: the digest of `buffer` was checked. CorruptionError, naming the file, if it is malformed."""
        self._rows, self._name = rows, name
        try:
            table = pa.ipc.open_file(buffer).read_all()
            table.validate(full=True)
            if int((table.schema.metadata or {})[ROWS_KEY]) != rows or (table.num_columns and table.num_rows != 2):
                raise ValueError(f"made for another number of rows than {rows}")
            self._zones = {field.name: _zone(field, table.column(i)) for i, field in enumerate(table.schema)}
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            raise CorruptionError(f"{name}: {error}; run repair() to rebuild it from the rows") from error

    def problem(self, batches: Iterable[pa.RecordBatch]) -> str | None:
        """What differs from the zones of these rows, which are all of the segment's."""
        builder = ZoneBuilder()
        for batch in batches:
            builder.add(batch)
        right = Zones(builder.to_bytes(), rows=self._rows, name=self._name)._zones
        wrong = sorted(name for name in {*right, *self._zones} if right.get(name) != self._zones.get(name))
        return f"{self._name}: not the bounds of the rows in {', '.join(map(repr, wrong))}" if wrong else None

    def get(self, column: str) -> Zone | None:
        """The zone of a column (struct fields by dotted path), or None if it has no known bounds."""
        return self._zones.get(column)


def _zone(field: pa.Field, bounds: pa.ChunkedArray) -> Zone | None:
    nulls = int(field.metadata[NULLS_KEY])
    if field.metadata[BOUNDS_KEY] != b"1":
        return None
    try:
        return Zone(bounds[0].as_py(), bounds[1].as_py(), nulls)
    except (ValueError, OverflowError):  # nanoseconds that Python's datetime lacks, years beyond it
        return None


def _leaves(batch: pa.RecordBatch) -> Iterator[tuple[str, pa.Array]]:
    taken = set(batch.schema.names)
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if name in (VECTOR, ROW):
            continue
        yield name, column
        if pa.types.is_struct(column.type):
            yield from ((path, leaf) for path, leaf in _struct_leaves(name, column) if path not in taken)


def _struct_leaves(prefix: str, column: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    for index in range(column.type.num_fields):
        path = f"{prefix}.{column.type.field(index).name}"
        child = pc.struct_field(column, [index])  # null where the parent is null
        yield path, child
        if pa.types.is_struct(child.type):
            yield from _struct_leaves(path, child)


def _bounds(column: pa.Array) -> pa.Array | None:
    """[min, max], both null if all is null; None if this type has no order or a NaN is among the values."""
    type_ = column.type
    types = pa.types
    if types.is_null(type_):
        return pa.nulls(2)
    ordered = (
        types.is_primitive(type_) or types.is_decimal(type_) or types.is_string(type_) or types.is_large_string(type_)
    )
    if not ordered or types.is_interval(type_) or types.is_float16(type_):
        return None
    if types.is_floating(type_) and pc.any(pc.is_nan(column)).as_py():
        return None
    both = pc.min_max(column)
    return pa.concat_arrays([_one(both["min"]), _one(both["max"])])


def _one(scalar: pa.Scalar) -> pa.Array:
    """An array of this one value, without a detour over Python's coarser dates."""
    return pa.repeat(scalar, 1) if scalar.is_valid else pa.nulls(1, scalar.type)


def _is_long(bounds: pa.Array) -> bool:
    if not (pa.types.is_string(bounds.type) or pa.types.is_large_string(bounds.type)):
        return False
    longest = pc.max(pc.binary_length(bounds)).as_py()
    return longest is not None and longest > TEXT_BYTES_MAX
