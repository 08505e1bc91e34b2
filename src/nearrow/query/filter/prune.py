"""Prune: can a whole segment be skipped, or taken whole, by its columns' smallest and largest values alone?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

import pyarrow as pa
import pyarrow.types as pt

from nearrow.query.filter import tree
from nearrow.query.filter.tree import Value

Verdict = Literal["none", "some", "all"]
_OPPOSITE: dict[Verdict, Verdict] = {"none": "all", "some": "some", "all": "none"}


class ZoneMap(Protocol):
    """A column's smallest and largest value that is not null (None: there is none, or it is unknown), and its nulls."""

    @property
    def min(self) -> Any: ...
    @property
    def max(self) -> Any: ...
    @property
    def null_count(self) -> int: ...


def prune(filter: tree.Filter, zone: Callable[[str], ZoneMap | None]) -> Verdict:
    """Whether no row, all rows or (as far as can be told) some rows of a part match.

    zone: gives a column's zone map, or None if there is none. Only top-level columns have them; whatever lies inside a
    struct or list, and SQL and pyarrow expressions that were not translated, are "some".
    """
    return _verdict(filter.root, zone)


def _verdict(node: tree.Node, zone: Callable[[str], ZoneMap | None]) -> Verdict:
    match node:
        case tree.Constant(value):
            return "all" if value else "none"
        case tree.Not(child):
            return _OPPOSITE[_verdict(child, zone)]
        case tree.And(children):
            return _strictest([_verdict(child, zone) for child in children])
        case tree.Or(children):
            return _OPPOSITE[_strictest([_OPPOSITE[_verdict(child, zone)] for child in children])]
        case tree.Exists(field) | tree.Compare(field) | tree.In(field):
            if field.path or field.in_list or not field.column:
                return "some"
            known = zone(field.column)
            return "some" if known is None else _leaf(node, field.type, known)
    return "some"


def _strictest(verdicts: list[Verdict]) -> Verdict:
    if "none" in verdicts:
        return "none"
    return "some" if "some" in verdicts else "all"


def _leaf(node: tree.Node, kind: pa.DataType, zone: ZoneMap) -> Verdict:
    if isinstance(node, tree.Exists):
        return "all" if zone.null_count == 0 else "some"
    low, high = _raw(zone.min, kind), _raw(zone.max, kind)
    if low is None or high is None:
        return "some"
    verdict: Verdict = "some"
    if isinstance(node, tree.Compare):
        verdict = _compared(node.operation, node.value, low, high)
        if node.nan_is_greatest and verdict == "none" and node.operation in ("gt", "gte"):
            return "some"
        if pt.is_floating(kind) and node.operation == "ne" and verdict == "none":
            return "some"  # NaN is not in the zone map, and is unequal
    elif isinstance(node, tree.In):
        verdict = "none" if _outside(node.values, low, high) else "some"
    if verdict == "all" and (zone.null_count or pt.is_floating(kind)):
        return "some"  # a null matches no leaf, nor does NaN
    return verdict


def _compared(operation: str, value: Value, low: Any, high: Any) -> Verdict:
    match operation:
        case "eq":
            return "none" if value < low or value > high else "all" if low == high else "some"
        case "ne":
            return _OPPOSITE[_compared("eq", value, low, high)]
        case "gt":
            return "none" if high <= value else "all" if low > value else "some"
        case "gte":
            return "none" if high < value else "all" if low >= value else "some"
        case "lt":
            return _OPPOSITE[_compared("gte", value, low, high)]
        case _:
            return _OPPOSITE[_compared("gt", value, low, high)]


def _outside(values: pa.Array, low: Any, high: Any) -> bool:
    if pt.is_integer(values.type):  # sorted
        numbers = values.to_numpy()
        return bool(numbers.searchsorted(low, "left") == numbers.searchsorted(high, "right"))
    return len(values) <= 1_000 and not any(low <= value <= high for value in values.to_pylist())


def _raw(value: Any, kind: pa.DataType) -> Any:
    """A zone map's value in the representation that operands have."""
    if value is None or (isinstance(value, pa.Scalar) and not value.is_valid):
        return None
    if pt.is_temporal(kind):
        if isinstance(value, int):
            return value
        return pa.scalar(value, kind).value if not isinstance(value, pa.Scalar) else value.cast(kind).value
    return value.as_py() if isinstance(value, pa.Scalar) else value
