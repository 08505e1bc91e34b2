"""Operands: how does a user's value become one that compares exactly with a column?

`5.5` against an int64 column, 2**60 + 1 against a float64 column or a microsecond against a date are not rounded: the
comparison is tightened to the nearest value that the column can hold, so that the answer is that of exact arithmetic.
"""

from __future__ import annotations

import datetime
import hashlib
import math
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from types import NoneType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from nearrow import compute as pc
from nearrow.errors import FilterError
from nearrow.query.filter.tree import Compare, Constant, Exists, Field, In, Node, Value

IN_VALUES_MAX = 1_000_000
UNIQUE_STRINGS_MAX = 1_000
"""More strings than these are looked for as they come: whoever looks for them leaves out the repeated ones."""
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
DAY = 86_400 * 10**9


def compare(field: Field, operation: str, operand: Any) -> Node:
    """`field operation operand` (not null) as a node; FilterError if the operand cannot be compared with the column."""
    kind = field.type
    if pt.is_null(kind):
        return Constant(False)
    if pt.is_string(kind):
        return Compare(field, operation, _string(field, operand))
    if pt.is_boolean(kind):
        if operation not in ("eq", "ne"):
            raise FilterError(f"field {field.name!r} is bool; it has no order, use $eq")
        return Compare(field, operation, _boolean(field, operand))
    if pt.is_floating(kind):
        return _compare_float(field, operation, _number(field, operand))
    if pt.is_integer(kind):
        return _compare_int(field, operation, _number(field, operand))
    if pt.is_temporal(kind):
        return _compare_int(field, operation, _ticks(field, operand))
    raise FilterError(
        f"field {field.name!r} is {kind}, which cannot be compared; name a field inside it, or use $exists"
    )


def _wrong(field: Field, operand: Any) -> FilterError:
    shown = repr(operand)
    return FilterError(
        f"field {field.name or 'element'!r} is {field.type}, but the operand is {type(operand).__name__}: "
        f"{shown if len(shown) <= 60 else shown[:57] + '…'}"
    )


def _string(field: Field, operand: Any) -> str:
    if not isinstance(operand, str):
        raise _wrong(field, operand)
    try:
        operand.encode()
    except UnicodeEncodeError:
        raise FilterError(f"the operand of {field.name!r} is not valid Unicode: {operand!r}") from None
    return str(operand)


def _boolean(field: Field, operand: Any) -> bool:
    if not isinstance(operand, (bool, np.bool_)):
        raise _wrong(field, operand)
    return bool(operand)


def _number(field: Field, operand: Any) -> int | float | Fraction:
    if isinstance(operand, (bool, np.bool_)):
        raise _wrong(field, operand)
    if isinstance(operand, (int, np.integer)):
        return int(operand)
    if isinstance(operand, (float, np.floating, Decimal)) and math.isnan(operand):
        raise FilterError(f"the operand of {field.name!r} is NaN, which compares with nothing; use $exists or a number")
    if isinstance(operand, (float, np.floating)):
        return float(operand)
    if isinstance(operand, (Decimal, Fraction)):
        return Fraction(operand)
    raise _wrong(field, operand)


def _compare_int(field: Field, operation: str, operand: int | float | Fraction) -> Node:
    if isinstance(operand, float) and math.isinf(operand):
        operand = INT64_MAX + 1 if operand > 0 else INT64_MIN - 1
    below, above = math.floor(operand), math.ceil(operand)
    if operation in ("eq", "ne"):
        if below != above or not INT64_MIN <= below <= INT64_MAX:
            return Constant(False) if operation == "eq" else Exists(field)
        return Compare(field, operation, below)
    bound = below if operation in ("gt", "lte") else above
    if not INT64_MIN <= bound <= INT64_MAX:
        return Exists(field) if (bound < 0) == (operation in ("gt", "gte")) else Constant(False)
    return Compare(field, operation, bound)


def _compare_float(field: Field, operation: str, operand: int | float | Fraction) -> Node:
    try:
        bound = float(operand)
    except OverflowError:
        bound = math.inf if operand > 0 else -math.inf
    if bound != operand:  # Python compares int, Fraction and float exactly
        if operation in ("eq", "ne"):
            return Constant(False) if operation == "eq" else Exists(field)
        rounded_up = bound > operand
        operation = ("gte" if rounded_up else "gt") if operation in ("gt", "gte") else ("lt" if rounded_up else "lte")
    return Compare(field, operation, bound + 0.0)


def _ticks(field: Field, operand: Any) -> Fraction:
    """A date, time or duration in the unit of the column, exactly. A naive time against a column with a zone is UTC."""
    kind = field.type
    if isinstance(operand, str):
        operand = _parsed(field, operand)
    try:
        scalar = operand if isinstance(operand, pa.Scalar) else pa.scalar(operand)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        raise _wrong(field, operand) from None
    given = scalar.type
    same = any(is_kind(kind) and is_kind(given) for is_kind in (pt.is_time, pt.is_duration))
    calendar = (pt.is_date(kind) or pt.is_timestamp(kind)) and (pt.is_date(given) or pt.is_timestamp(given))
    if scalar.as_py() is None or not (same or calendar):
        raise _wrong(field, operand)
    if getattr(given, "tz", None) is not None and getattr(kind, "tz", None) is None:
        raise FilterError(f"field {field.name!r} has no time zone, but the operand {operand} has; drop it")
    nanoseconds = scalar.value * (
        DAY if pt.is_date32(given) else 10**6 if pt.is_date64(given) else NANOSECONDS[given.unit]
    )
    return Fraction(nanoseconds, DAY if pt.is_date32(kind) else NANOSECONDS[kind.unit])


def _parsed(field: Field, text: str) -> Any:
    try:
        if pt.is_time(field.type):
            return datetime.time.fromisoformat(text)
        if pt.is_duration(field.type):
            raise _wrong(field, text)
        if len(text) == 10:
            return datetime.date.fromisoformat(text)
        return datetime.datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)
    except ValueError:
        raise FilterError(f"field {field.name!r} is {field.type}, but {text!r} is no ISO 8601 date or time") from None


def one_of(field: Field, operands: Iterable[Any]) -> tuple[Node, bool]:
    """(the field is one of the operands, whether null is among them)."""
    if isinstance(operands, (str, bytes, dict)) or not hasattr(operands, "__iter__"):
        raise FilterError(f"$in, $nin, $any and $all of {field.name!r} take a list, not {type(operands).__name__}")
    if isinstance(operands, (pa.Array, pa.ChunkedArray)):
        given = operands.to_pylist() if len(operands) <= IN_VALUES_MAX else list(range(len(operands)))
    else:
        given = operands.tolist() if isinstance(operands, np.ndarray) else list(operands)
    if len(given) > IN_VALUES_MAX:
        raise FilterError(f"the list for {field.name!r} has {len(given)} values; the limit is {IN_VALUES_MAX}")
    kinds = set(map(type, given))
    with_null = NoneType in kinds
    values = [value for value in given if value is not None] if with_null else given
    if pt.is_null(field.type) or not values:
        return Constant(False), with_null
    array = _quick_values(field, values, kinds - {NoneType})
    if array is None:
        nodes = [compare(field, "eq", value) for value in values]
        kept: list[Value] = [node.value for node in nodes if isinstance(node, Compare)]
        array = pa.array(kept, _representation(field))
    return value_set(field, array), with_null


def _representation(field: Field) -> pa.DataType:
    kind = field.type
    return kind if pt.is_string(kind) or pt.is_boolean(kind) or pt.is_floating(kind) else pa.int64()


def _quick_values(field: Field, values: list[Any], kinds: set[type]) -> pa.Array | None:
    """`values`, which are of these `kinds`, in one step if that is exactly the column's Python type, as in large lists."""
    wanted: dict[pa.DataType, type] = {pa.string(): str, pa.int64(): int, pa.bool_(): bool, pa.float64(): float}
    kind = wanted.get(field.type)
    if kind is None or kinds != {kind}:
        return None
    try:
        array = pa.array(values, field.type)
        return None if kind is float and pc.any(pc.is_nan(array)).as_py() else array
    except (pa.ArrowInvalid, OverflowError, UnicodeEncodeError):
        return None  # the slow way knows what to do or to say


def value_set(field: Field, array: pa.Array) -> Node:
    """An In node over values, distinct if they are not many strings; no values: nothing, one: a comparison."""
    if pt.is_integer(array.type):
        numbers = array.to_numpy()
        if not bool((numbers[1:] > numbers[:-1]).all()):  # long lists often are in order
            array = pa.array(np.unique(numbers))
    elif not pt.is_string(array.type) or len(array) <= UNIQUE_STRINGS_MAX:
        array = pc.unique(array)
    if len(array) == 0:
        return Constant(False)
    if len(array) == 1:
        return Compare(field, "eq", array[0].as_py())
    digest = hashlib.blake2b(str(array.type).encode(), digest_size=16)
    for buffer in array.buffers():
        digest.update(b"-" if buffer is None else str(buffer.size).encode() + bytes(buffer))
    return In(field, digest.hexdigest(), array)
