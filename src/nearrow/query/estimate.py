"""Estimate: what share of a part's rows will a filter let through, as far as its zone maps can tell?

Numbers are taken as spread evenly between the smallest and the largest, conditions as independent of each other. Only
`explain` shows it, beside the truth: the bitmap itself costs about a nanosecond a row, so plans are made from the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from nearrow.query.filter import ZoneMap, tree
from nearrow.query.filter.tree import Filter

UNKNOWN = 0.25
"""Of a condition about which nothing is known."""
ONE_VALUE = 0.05
"""Of being equal to one value that lies between the smallest and the largest."""
Zones = Callable[[str], ZoneMap | None]


def estimated_share(where: Filter | None, zone: Zones, rows: int) -> float:
    """From 0 to 1."""
    return 1.0 if where is None or rows == 0 else min(1.0, max(0.0, _share(where.root, zone, rows)))


def _share(node: tree.Node, zone: Zones, rows: int) -> float:
    match node:
        case tree.Constant(value):
            return 1.0 if value else 0.0
        case tree.Not(child):
            return 1.0 - _share(child, zone, rows)
        case tree.And(children):
            share = 1.0
            for child in children:
                share *= _share(child, zone, rows)
            return share
        case tree.Or(children):
            share = 1.0
            for child in children:
                share *= 1.0 - _share(child, zone, rows)
            return 1.0 - share
        case tree.Exists(field) | tree.Compare(field) | tree.In(field):
            known = None if field.in_list else zone(".".join((field.column, *field.path)))
            return UNKNOWN if known is None else _leaf(node, known) * (1.0 - known.null_count / rows)
    return UNKNOWN


def _leaf(node: tree.Node, zone: ZoneMap) -> float:
    low, high = _number(zone.min), _number(zone.max)
    if isinstance(node, tree.Exists):
        return 1.0
    if isinstance(node, tree.In):
        return min(1.0, len(node.values) * (ONE_VALUE if low is None or high is None else _width(low, high)))
    assert isinstance(node, tree.Compare)
    value = node.value
    if low is None or high is None or isinstance(value, (str, bool)):
        return {"eq": ONE_VALUE, "ne": 1.0 - ONE_VALUE}.get(node.operation, UNKNOWN)
    if node.operation in ("eq", "ne"):
        equal = _width(low, high) if low <= value <= high else 0.0
        return equal if node.operation == "eq" else 1.0 - equal
    below = 0.5 if high == low else (float(value) - low) / (high - low)
    below = min(1.0, max(0.0, below))
    return below if node.operation in ("lt", "lte") else 1.0 - below


def _width(low: float, high: float) -> float:
    return min(ONE_VALUE, 1.0 / (high - low + 1.0))


def _number(value: Any) -> float | None:
    if isinstance(value, pa.Scalar):
        value = value.as_py()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value)
