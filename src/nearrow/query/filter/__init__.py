"""Filter: which rows may be found? Three spellings, one tree, one bitmap.

parse_filter   a dict, an SQL expression or a pyarrow expression → a validated, hashable Filter
evaluate       Filter × table → packed bitmap
prune          Filter × zone maps → none, some or all rows of a part
BitmapCache    (part, filter) → bitmap
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from nearrow import compute as pc
from nearrow.errors import FilterError
from nearrow.query.filter import bits, mongo
from nearrow.query.filter.arrow import parse_expression
from nearrow.query.filter.bits import Bits
from nearrow.query.filter.cache import BitmapCache, CacheStats
from nearrow.query.filter.evaluate import evaluate
from nearrow.query.filter.prune import Verdict, ZoneMap, prune
from nearrow.query.filter.sql import SqlEngine, parse_sql
from nearrow.query.filter.tree import And, Filter, columns_of, describe

SQL_BYTES_MAX = 1 << 20


def parse_filter(where: Any, schema: pa.Schema, sql: SqlEngine | None = None) -> Filter:
    """The filter that `where` spells, validated against the user-facing schema.

    where: a dict (MongoDB's operators), a str (an SQL expression; needs `sql`), a pyarrow expression, a Filter, or None
        (every row). Raises FilterError naming the unknown field, operator or wrong operand, with the closest name.
    """
    if where is None:
        return Filter(And(()))
    if isinstance(where, Filter):
        return where
    if isinstance(where, Mapping):
        return Filter(mongo.parse(where, schema))
    if isinstance(where, pc.Expression):
        return Filter(parse_expression(where, schema))
    if isinstance(where, str):
        if sql is None:
            raise FilterError("SQL filters are not available here; use the dict spelling")
        if not where.strip():
            raise FilterError("the SQL filter is empty; leave where= out to find every row")
        if len(where.encode(errors="replace")) > SQL_BYTES_MAX:
            raise FilterError(f"the SQL filter is longer than {SQL_BYTES_MAX} bytes; use {{'$in': […]}} for long lists")
        return Filter(parse_sql(where, schema, sql))
    raise FilterError(f"where= takes a dict, an SQL expression or a pyarrow expression, not {type(where).__name__}")


__all__ = [
    "BitmapCache",
    "Bits",
    "CacheStats",
    "Filter",
    "SqlEngine",
    "Verdict",
    "ZoneMap",
    "bits",
    "columns_of",
    "describe",
    "evaluate",
    "parse_filter",
    "prune",
]
