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
    """The smallest and largest value of a column (None if, and only if, all rows are null), and how many are null.

    A column with a NaN has no zone map: NaN lies outside every interval.
    """

    @property
    def min(self) -> Any: ...
    @property
    def max(self) -> Any: ...
    @property
    def null_count(self) -> int: ...


def prune(filter: tree.Filter, zone: Callable[[str], ZoneMap | None]) -> Verdict:
    """Whether no row, all rows or (as far as can be told) some rows of a part match.

    zone: gives the zone map of a column (or of a struct's field, by dotted path), or None if there is none. What lies in
    a list, and SQL and pyarrow expressions that were not translated, are "some".
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
            known = None if field.in_list else zone(".".join((field.column, *field.path)))
            return "some" if known is None else _leaf(node, field.type, known)
    return "some"


def _strictest(verdicts: list[Verdict]) -> Verdict:
    if "none" in verdicts:
        return "none"
    return "some" if "some" in verdicts else "all"


def _leaf(node: tree.Node, kind: pa.DataType, zone: ZoneMap) -> Verdict:
    low, high = _raw(zone.min, kind), _raw(zone.max, kind)
    if low is None or high is None:
        return "none"  # all rows are null, and no leaf is true of null
    if isinstance(node, tree.Exists):
        return "all" if zone.null_count == 0 else "some"
    verdict: Verdict = "some"
    if isinstance(node, tree.Compare):
        verdict = _compared(node.operation, node.value, low, high)
    elif isinstance(node, tree.In):
        verdict = "none" if _outside(node.values, low, high) else "some"
    return "some" if verdict == "all" and zone.null_count else verdict


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
