"""SQL: what does a filter spelled as an SQL expression mean?

DuckDB's own parser reads the text (the engine is handed in, for only `analytics` may know DuckDB). What is common and
simple becomes a tree, so that zone maps and the fast leaves serve it too; everything else stays text for DuckDB.
 A translation must keep three-valued logic exactly: NOT is pushed down to the leaves (De Morgan holds in Kleene
logic), where a comparison turns into its opposite, which is false for null like the comparison itself. NaN is above all
numbers and equal to itself, as in DuckDB. Where any of this is in doubt, nothing is translated.
"""

from __future__ import annotations

import datetime
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.types as pt

from nearrow.errors import FilterError
from nearrow.query.filter import operands
from nearrow.query.filter.fields import all_paths, resolve
from nearrow.query.filter.tree import And, Compare, Constant, Exists, Field, In, Node, Not, Or, SqlFilter
from nearrow.schema import nearest_name

COMPARISONS = {
    "COMPARE_EQUAL": "eq", "COMPARE_NOTEQUAL": "ne", "COMPARE_GREATERTHAN": "gt", "COMPARE_LESSTHAN": "lt",
    "COMPARE_GREATERTHANOREQUALTO": "gte", "COMPARE_LESSTHANOREQUALTO": "lte",
}  # fmt: skip
MIRRORED = {"eq": "eq", "ne": "ne", "gt": "lt", "lt": "gt", "gte": "lte", "lte": "gte"}
NEGATED = {"eq": "ne", "ne": "eq", "gt": "lte", "lte": "gt", "gte": "lt", "lt": "gte"}
EXACT_DIGITS_MAX = 15  # a decimal of so many digits divided by its power of ten is the nearest double, as with strtod


class SqlEngine(Protocol):
    """The SQL that a filter needs: implemented with DuckDB in analytics, injected by the collection layer."""

    def parse(self, text: str) -> dict[str, Any]:
        """The syntax tree (`class`, `type`, …) of a harmless scalar expression; FilterError for anything else."""

    def mask(self, text: str, table: pa.Table) -> pa.ChunkedArray:
        """The expression's value for each row, in order: true, false or null; FilterError if it cannot be bound."""


class Untranslatable(Exception):  # noqa: N818 (caught here; not an error of the user's)
    """The expression is left to DuckDB."""


def parse_sql(text: str, schema: pa.Schema, engine: SqlEngine) -> Node:
    """The tree of an SQL expression, or one SqlFilter node if it is not of the simple kind."""
    syntax = engine.parse(text)
    columns = _columns(syntax, schema)
    try:
        return _Translator(schema).node(syntax, positive=True)
    except (Untranslatable, FilterError):
        fields = [schema.field(name) for name in columns] or [schema.field(0)]
        node = SqlFilter(text, tuple(field.name for field in fields), pa.schema(fields))
        # One row of nulls binds names and types and evaluates the constants, so that mistakes are named now.
        engine.mask(text, pa.table([pa.nulls(1, field.type) for field in fields], schema=pa.schema(fields)))
        return node


def _columns(syntax: Any, schema: pa.Schema) -> list[str]:
    """The columns that the expression names, in order; FilterError for one that is unknown."""
    found: dict[str, None] = {}
    stack = [syntax]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if item.get("class") == "COLUMN_REF":
                found[column_named(item["column_names"][0], schema)] = None
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return sorted(found)


def column_named(name: str, schema: pa.Schema) -> str:
    """SQL names are case-insensitive; an exact match wins."""
    if name in schema.names:
        return name
    alike = [known for known in schema.names if known.lower() == name.lower()]
    if len(alike) == 1:
        return str(alike[0])
    if alike:
        raise FilterError(f"field {name!r} may be any of {alike}; write it exactly, in double quotes")
    raise FilterError(f"unknown field {name!r}{nearest_name(name, all_paths(schema))}")


class _Translator:
    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema

    def node(self, syntax: dict[str, Any], *, positive: bool) -> Node:
        """The rows for which the expression is true (or, if not `positive`, false)."""
        kind, form = syntax["class"], syntax["type"]
        if kind == "CONJUNCTION":
            children = tuple(self.node(child, positive=positive) for child in syntax["children"])
            return And(children) if (form == "CONJUNCTION_AND") == positive else Or(children)
        if kind == "COMPARISON" and form in COMPARISONS:
            return self._comparison(syntax["left"], syntax["right"], COMPARISONS[form], positive)
        if kind == "BETWEEN" and form == "COMPARE_BETWEEN":
            low = self._comparison(syntax["input"], syntax["lower"], "gte", positive)
            high = self._comparison(syntax["input"], syntax["upper"], "lte", positive)
            return And((low, high)) if positive else Or((low, high))
        if kind == "OPERATOR":
            return self._operator(form, syntax["children"], positive)
        if kind == "COLUMN_REF":
            field = self._field(syntax)
            if pt.is_boolean(field.type):
                return Compare(field, "eq", positive)
        raise Untranslatable

    def _operator(self, form: str, children: list[dict[str, Any]], positive: bool) -> Node:
        if form == "OPERATOR_NOT":
            return self.node(children[0], positive=not positive)
        if form in ("OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL"):
            exists = Exists(self._field(children[0]))
            return exists if (form == "OPERATOR_IS_NOT_NULL") == positive else Not(exists)
        if form in ("COMPARE_IN", "COMPARE_NOT_IN"):
            return self._in(children, positive == (form == "COMPARE_IN"))
        raise Untranslatable

    def _in(self, children: list[dict[str, Any]], positive: bool) -> Node:
        field = self._field(children[0])
        if pt.is_floating(field.type) or pt.is_null(field.type):
            raise Untranslatable
        values = [_operand(child, field) for child in children[1:]]
        node, _ = operands.one_of(field, values)
        if isinstance(node, Constant):
            raise Untranslatable
        return node if positive else And((Exists(field), Not(node)))

    def _field(self, syntax: dict[str, Any]) -> Field:
        if syntax["class"] != "COLUMN_REF":
            raise Untranslatable
        names = syntax["column_names"]
        column = column_named(names[0], self._schema)
        path = ".".join([column, *names[1:]])
        field = resolve(path, self._schema)
        if field.column != column or len(field.path) != len(names) - 1 or field.rest:
            raise Untranslatable
        return field

    def _comparison(self, left: dict[str, Any], right: dict[str, Any], operation: str, positive: bool) -> Node:
        if left["class"] != "COLUMN_REF":
            left, right, operation = right, left, MIRRORED[operation]
        field = self._field(left)
        value = _operand(right, field)
        node = operands.compare(field, operation if positive else NEGATED[operation], value)
        if isinstance(node, Compare) and pt.is_floating(field.type):
            return Compare(field, node.operation, node.value, nan_is_greatest=True)
        if not isinstance(node, (Compare, Exists, In)):
            raise Untranslatable
        return node


def _operand(syntax: dict[str, Any], field: Field) -> Any:
    """The Python value of a constant whose comparison with `field` is exact in DuckDB too."""
    kind, text = constant_of(syntax)
    column = field.type
    if pt.is_string(column) and kind == "STRING":
        return text
    if pt.is_boolean(column) and kind == "BOOLEAN":
        return text.lower() == "true"
    digits = len(text.lstrip("-").replace(".", "").lstrip("0"))
    if pt.is_integer(column) and kind == "INTEGER" and digits <= 18:
        return int(text)
    plain = text.lstrip("-").replace(".", "", 1)
    if pt.is_floating(column) and kind in ("INTEGER", "NUMERIC") and plain.isdigit() and digits <= EXACT_DIGITS_MAX:
        return float(text)
    try:
        if pt.is_date32(column) and kind in ("STRING", "DATE") and len(text) == 10:
            return datetime.date.fromisoformat(text)
        if pt.is_timestamp(column) and column.tz is None and kind in ("STRING", "TIMESTAMP") and len(text) in (10, 19):
            return datetime.datetime.fromisoformat(text)
    except ValueError:
        raise Untranslatable from None
    raise Untranslatable


def constant_of(syntax: dict[str, Any]) -> tuple[str, str]:
    """(kind, text) of a literal in the syntax tree of DuckDB 2 or 1; Untranslatable for any other expression."""
    if syntax["class"] == "CAST" and not syntax.get("try_cast"):
        kind, text = constant_of(syntax["child"])
        name = syntax.get("type_expr", {}).get("type_name") or syntax.get("cast_type", {}).get("id")
        if kind == "STRING" and name in ("DATE", "TIMESTAMP"):
            return name, text
        if kind == "STRING" and name == "BOOLEAN" and text in ("t", "f"):
            return "BOOLEAN", "true" if text == "t" else "false"
        raise Untranslatable
    if syntax["class"] != "CONSTANT":
        raise Untranslatable
    literal, value = syntax.get("literal"), syntax.get("value")
    if isinstance(literal, dict) and isinstance(literal.get("text"), str):
        return str(literal.get("kind")), literal["text"]
    if isinstance(value, dict) and not value.get("is_null", True) and isinstance(value.get("type"), dict):
        kinds = {"INTEGER": "INTEGER", "BIGINT": "INTEGER", "VARCHAR": "STRING", "BOOLEAN": "BOOLEAN"}
        known = kinds.get(str(value["type"].get("id")))
        if known is not None and isinstance(value.get("value"), (str, int, bool)):
            return known, str(value["value"])
    raise Untranslatable
