"""Evaluate: which rows of a table does a filter let through?

Bottom up, one packed bitmap a node. Leaves read the Arrow buffers with NumPy or Arrow kernels, never row by row, and
put false where the field is null; inner nodes are bitwise operations on an eighth of a byte a row.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from nearrow import compute as pc
from nearrow.errors import FilterError
from nearrow.index.columns import lists_marked, marked, match_lists
from nearrow.index.strings import Strings, StringSet
from nearrow.query.filter import tree
from nearrow.query.filter.arrow import mask_of_expression, with_columns
from nearrow.query.filter.bits import (
    Bits,
    all_of,
    concatenated,
    inverted,
    none_of,
    of_arrow,
    pack,
    unpack,
    where_valid,
)
from nearrow.query.filter.fields import chunks_of, list_parts, walk
from nearrow.query.filter.numbered import NumberedValues
from nearrow.query.filter.patterns import fixed, matching_rows
from nearrow.query.threads import mapped

LOOKUP_SPAN_MAX = 1 << 22  # a set of integers closer together than this is a table of flags, not a hash table
QUICK_STRINGS, QUICK_BYTES = 6, 8
"""So many strings, or so many bytes that strings begin or end with, are looked for in a column as quickly as its values are
numbered or faster (docs/decisions/076)."""
OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq, "ne": operator.ne, "gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le,
}  # fmt: skip
ARROW_OPERATIONS = {
    "gt": "greater", "gte": "greater_equal", "lt": "less", "lte": "less_equal",
}  # fmt: skip


class SqlMasks(Protocol):
    """What evaluates SQL expressions; the collection layer brings the one that is made of DuckDB."""

    def mask(self, text: str, table: pa.Table) -> pa.ChunkedArray:
        """The expression's value for each row, in order: true, false or null."""


Values = Callable[[tree.Field, bool], NumberedValues | None]
"""The numbered values of a field that has few; if the second argument is true, only if they were numbered before."""


def evaluate(filter: tree.Filter, table: pa.Table, sql: SqlMasks | None = None, values: Values | None = None) -> Bits:
    """The rows of `table` that match, as packed bits (least significant first, ⌈rows / 8⌉ bytes, zero past the end).

    A column that the table lacks (it is older than the column) reads null. values: of the same table.
    """
    return _bits(filter.root, _TableRows(table, sql, values))


class _TableRows:
    def __init__(self, table: pa.Table, sql: SqlMasks | None, values: Values | None) -> None:
        self.table = table
        self.sql = sql
        self.values = values
        self.rows = table.num_rows

    def chunks(self, field: tree.Field) -> list[pa.Array]:
        return chunks_of(self.table, field)


class _Elements:
    """The elements of a list column, so that a predicate on them is evaluated like one on rows."""

    def __init__(self, values: pa.Array) -> None:
        self._values = values
        self.rows = len(values)

    def chunks(self, field: tree.Field) -> list[pa.Array]:
        return [walk(self._values, field.path)]


class _Distinct:
    """Null and the different values of a field, as if each were a row."""

    def __init__(self, values: pa.Array) -> None:
        self._values = pa.concat_arrays([pa.nulls(1, values.type), values])
        self.rows = len(self._values)

    def chunks(self, field: tree.Field) -> list[pa.Array]:
        return [self._values]


def _bits(node: tree.Node, rows: _TableRows | _Elements | _Distinct) -> Bits:
    if isinstance(rows, _TableRows) and rows.values is not None:
        told = _told_by_value(node, rows, rows.values)
        if told is not None:
            return told
    match node:
        case tree.Constant(value):
            return all_of(rows.rows) if value else none_of(rows.rows)
        case tree.Not(child):
            return inverted(_bits(child, rows), rows.rows)
        case tree.And(children):
            return _conjunction(children, rows)
        case tree.Or(children):
            bits = none_of(rows.rows)
            for child in children:
                bits = bits | _bits(child, rows)
            return bits
        case tree.Exists(field):
            return _leaf(rows.chunks(field), lambda chunk: where_valid(all_of(len(chunk)), chunk))
        case tree.Compare(field):
            return _comparison(node, rows.chunks(field))
        case tree.In(field):
            return _membership(node, rows.chunks(field))
        case tree.Match(field, kind, pattern):
            wanted = fixed(kind, pattern)
            if wanted is not None:
                return _with_strings(rows.chunks(field), wanted)
            return _leaf(rows.chunks(field), lambda chunk: matching_rows(chunk, kind, pattern), slow=True)
        case tree.Quantified(field):
            return _quantifieds(node, rows.chunks(field))
    if isinstance(rows, _TableRows):
        if isinstance(node, tree.ArrowFilter):
            return of_arrow(mask_of_expression(node, rows.table))
        if isinstance(node, tree.SqlFilter):
            return _sql_bits(node, rows)
    raise TypeError(f"no evaluation of {type(node).__name__}")


def _told_by_value(node: tree.Node, rows: _TableRows, values: Values) -> Bits | None:
    """The bits of a condition on strings of which there are few: evaluated for each of them. None for any other."""
    if not isinstance(node, tree.Compare | tree.In | tree.Match | tree.Quantified):
        return None
    field = node.field
    condition = node.predicate if isinstance(node, tree.Quantified) else node
    known = values(field, _is_quick(condition))
    if known is None:
        return None
    distinct = _Distinct(known.values)
    bits = marked(known.numbers, unpack(_bits(condition, distinct), distinct.rows))
    if known.starts is None or not isinstance(node, tree.Quantified):
        return bits
    found = lists_marked(bits, known.starts, every=node.every)
    if not node.every:
        return found
    lists = rows.chunks(field)
    return found & concatenated([(where_valid(all_of(len(chunk)), chunk), len(chunk)) for chunk in lists])


def _is_quick(condition: tree.Node) -> bool:
    """Whether strings are looked at one by one about as quickly as their numbers."""
    match condition:
        case tree.Compare(_, operation, _):
            return operation in ("eq", "ne")
        case tree.In(_, _, strings):
            return len(strings) <= QUICK_STRINGS
        case tree.Match(_, "startsWith" | "endsWith", text):
            return len(text.encode()) <= QUICK_BYTES
    return False


def _conjunction(children: Sequence[tree.Node], rows: _TableRows | _Elements | _Distinct) -> Bits:
    bits = all_of(rows.rows)
    for child in children:
        bits = bits & _bits(child, rows)
        if not bits.any():
            break
    return bits


def _leaf(chunks: list[pa.Array], evaluate_chunk: Callable[[pa.Array], Bits], *, slow: bool = False) -> Bits:
    """The bits of all chunks. `slow`: worth a second thread, for it takes nanoseconds a row rather than a fraction."""

    def piece(chunk: pa.Array) -> tuple[Bits, int]:
        return (none_of(len(chunk)) if pt.is_null(chunk.type) else evaluate_chunk(chunk)), len(chunk)

    pieces = mapped(piece, chunks) if slow else [piece(chunk) for chunk in chunks]
    return concatenated(pieces) if pieces else none_of(0)


def numbers_of(array: pa.Array) -> npt.NDArray[Any]:
    """The values of a fixed-width array as they lie in memory: temporal ones as integers, anything where it is null."""
    width = array.type.bit_width // 8
    kind = "f" if pt.is_floating(array.type) else "i"
    return np.frombuffer(array.buffers()[1], dtype=f"{kind}{width}")[array.offset : array.offset + len(array)]


def _comparison(node: tree.Compare, chunks: list[pa.Array]) -> Bits:
    kind, value = node.field.type, node.value
    if pt.is_boolean(kind):
        wanted = bool(value) == (node.operation == "eq")
        return _leaf(chunks, lambda chunk: of_arrow(chunk if wanted else pc.invert(chunk)))
    if pt.is_string(kind):
        if node.operation in ("eq", "ne"):
            return _with_strings(chunks, StringSet(pa.array([value], pa.string())), other=node.operation == "ne")
        kernel = getattr(pc, ARROW_OPERATIONS[node.operation])
        return _leaf(chunks, lambda chunk: of_arrow(kernel(chunk, pa.scalar(value, pa.string()))), slow=True)
    compare = OPERATIONS[node.operation]
    nan_too = node.nan_is_greatest and node.operation in ("gt", "gte")

    def bits_of(chunk: pa.Array) -> Bits:
        if len(chunk) == 0:
            return none_of(0)
        numbers = numbers_of(chunk)
        with np.errstate(invalid="ignore"):
            flags = compare(numbers, value)
        return where_valid(pack(flags | np.isnan(numbers) if nan_too else flags), chunk)

    return _leaf(chunks, bits_of)


def _membership(node: tree.In, chunks: list[pa.Array]) -> Bits:
    values, kind = node.values, node.field.type
    if pt.is_integer(values.type):
        low, high = values[0].as_py(), values[-1].as_py()
        if high - low < LOOKUP_SPAN_MAX:
            return _lookup(chunks, values.to_numpy(), low, high)
    if pt.is_floating(values.type) and pc.any(pc.equal(values, 0.0)).as_py():
        values = pa.concat_arrays([values, pa.array([0.0, -0.0])])  # two bit patterns, one number
    if pt.is_string(kind):
        return _with_strings(chunks, StringSet(values))
    raw = [_as_integers(chunk) for chunk in chunks] if pt.is_temporal(kind) else chunks
    # one call for all chunks, so that the hash table is made once
    known = [pa.nulls(len(chunk), values.type) if pt.is_null(chunk.type) else chunk for chunk in raw]
    return of_arrow(pc.is_in(pa.chunked_array(known, values.type), value_set=values))


def _with_strings(chunks: list[pa.Array], wanted: Strings, *, other: bool = False) -> Bits:
    """The rows whose string is looked for, or, of `other`, any that is not."""
    found = iter(wanted.match(*[chunk for chunk in chunks if not pt.is_null(chunk.type)]))

    def bits_of(chunk: pa.Array) -> Bits:
        bits = next(found)
        return where_valid(inverted(bits, len(chunk)) if other else bits, chunk)

    return _leaf(chunks, bits_of)


def _as_integers(chunk: pa.Array) -> pa.Array:
    if pt.is_null(chunk.type):
        return chunk
    return chunk.view(pa.int64()) if chunk.type.bit_width == 64 else chunk.view(pa.int32()).cast(pa.int64())


def _lookup(chunks: list[pa.Array], values: npt.NDArray[np.int64], low: int, high: int) -> Bits:
    """Membership in a narrow set of integers: one flag for each number of the span, and one each side for the rest."""
    flags = np.zeros(high - low + 3, dtype=bool)
    flags[values - low + 1] = True

    def bits_of(chunk: pa.Array) -> Bits:
        if len(chunk) == 0:
            return none_of(0)
        numbers = numbers_of(chunk).astype(np.int64, copy=False)
        clipped = np.clip(numbers, max(low - 1, -(2**63)), min(high + 1, 2**63 - 1))
        return where_valid(pack(flags.take(clipped - low + 1)), chunk)

    return _leaf(chunks, bits_of)


def _quantifieds(node: tree.Quantified, chunks: list[pa.Array]) -> Bits:
    wanted = _looked_for(node.predicate)
    if wanted is None or not all(map(_is_list_of_strings, chunks)):
        return _leaf(chunks, lambda chunk: _quantified(node, chunk))
    found = iter(wanted.match_in_lists(*chunks, every=node.every))
    return _leaf(chunks, lambda chunk: where_valid(next(found), chunk))


def _looked_for(predicate: tree.Node) -> Strings | None:
    """The strings, or the text in them, that pass a predicate on elements of lists; None if there is more to it."""
    match predicate:
        case tree.Compare(field, "eq", value) if pt.is_string(field.type) and not field.path:
            return StringSet(pa.array([value], pa.string()))
        case tree.In(field, _, values) if pt.is_string(field.type) and not field.path:
            return StringSet(values)
        case tree.Match(field, kind, pattern) if not field.path:
            return fixed(kind, pattern)
    return None


def _is_list_of_strings(array: pa.Array) -> bool:
    """Whether it is one as Arrow has them by default, without a null among its strings."""
    plain = pt.is_list(array.type) or pt.is_large_list(array.type)
    return plain and pt.is_string(array.type.value_type) and array.values.null_count == 0


def _quantified(node: tree.Quantified, array: pa.Array) -> Bits:
    if not (pt.is_list(array.type) or pt.is_large_list(array.type)):
        array = _as_list(array)
    if len(array) == 0:
        return none_of(0)
    offsets = array.offsets
    first, last = offsets[0].as_py(), offsets[-1].as_py()
    marks = _bits(node.predicate, _Elements(array.values.slice(first, last - first)))

    return where_valid(match_lists(array, marks, first, last - first, every=node.every), array)


def _as_list(array: pa.Array) -> pa.Array:
    """A list array of another layout as a plain one."""
    offsets, values = list_parts(array)
    mask = None if array.null_count == 0 else array.is_null()
    return pa.LargeListArray.from_arrays(pa.array(offsets), values, mask=mask)


def _sql_bits(node: tree.SqlFilter, rows: _TableRows) -> Bits:
    if rows.sql is None:
        raise FilterError("SQL filters are not available here; use the dict spelling")
    if rows.rows == 0:
        return none_of(0)
    return of_arrow(rows.sql.mask(node.text, with_columns(rows.table, node.schema, node.columns)))
