"""SQL nearest: how does a vector search stand in a query, as `FROM nearest('docs', $q, k := 10)`?

DuckDB's Python API has no table functions of one's own. So the calls are found in the syntax tree of DuckDB's parser, the
searches are made before the query, and in the text each call gives way to the table of its hits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from nearrow.analytics.sql_filter import first_line, quoted
from nearrow.errors import InvalidArgumentError
from nearrow.hits import Hits

if TYPE_CHECKING:
    import duckdb

FUNCTION = "nearest"
NAMED = {"k": "k", "filter": "where", "text": "text", "ef_search": "ef_search", "exact": "exact", "within": "within"}
"""Argument in SQL → argument of `Collection.search`. (`where` is a keyword of SQL.)"""
USAGE = "nearest('docs', $vector, k := 10, filter := 'year > 2000', text := 'words', ef_search, exact, within)"

Search = Callable[..., Hits]
"""(name of the collection, vector or None, arguments of `Collection.search`) → Hits."""


def with_searches(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: Any, search: Search | None
) -> tuple[str, dict[str, pa.Table]]:
    """The query with each call of nearest() replaced by a table, and these tables by name."""
    if search is None or FUNCTION not in query.casefold():
        return query, {}
    text = query.encode()
    tables: dict[str, pa.Table] = {}
    pieces: list[bytes] = []
    done = 0
    for call in sorted(_calls(_tree(connection, query)), key=lambda call: int(call["query_location"])):
        if "query_location_length" not in call:
            raise InvalidArgumentError("nearest() in SQL needs DuckDB 2.0 or newer; search first and join hits=")
        start, end = _span(call)
        given = [_span(_expression(argument)) for argument in call["function"]["arguments"]]
        name = f"{FUNCTION}/{len(tables)}"
        tables[name] = _hits(connection, text, call["function"]["arguments"], parameters, search)
        # The arguments stay in the text, where nobody looks at them, so that every parameter still has its place.
        kept = b", ".join(text[first:last] for first, last in given)
        table = b"(SELECT hits.* FROM %s AS hits, (SELECT %s))" % (quoted(name).encode(), kept)
        pieces += [text[done:start], table, _alias(call).encode()]
        done = end
    return b"".join([*pieces, text[done:]]).decode(), tables


def _tree(connection: duckdb.DuckDBPyConnection, query: str) -> Any:
    ((serialized,),) = connection.execute("SELECT json_serialize_sql(?)", [query]).fetchall()
    tree = json.loads(serialized)
    return {} if tree.get("error", True) else tree  # what is wrong with it is said when it is run


def _calls(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if node.get("type") == "TABLE_FUNCTION" and _name_of(node) == FUNCTION:
            yield node
        for child in node.values():
            yield from _calls(child)
    elif isinstance(node, list):
        for child in node:
            yield from _calls(child)


def _name_of(call: Mapping[str, Any]) -> str:
    function = call.get("function") or {}
    return "" if function.get("schema") else str(function.get("function_name")).casefold()


def _alias(call: Mapping[str, Any]) -> str:
    """What the call is known by: its span in the text has that in it."""
    columns = ", ".join(map(quoted, call.get("column_name_alias") or []))
    return f" AS {quoted(call.get('alias') or FUNCTION)}" + (f"({columns})" if columns else "")


def _span(node: Mapping[str, Any]) -> tuple[int, int]:
    start = int(node["query_location"])
    return start, start + int(node["query_location_length"])


def _expression(argument: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = argument["expression"]
    return found


def _hits(
    connection: duckdb.DuckDBPyConnection,
    text: bytes,
    arguments: list[Mapping[str, Any]],
    parameters: Any,
    search: Search,
) -> pa.Table:
    """The hits of the search that these arguments ask for, nearest first."""
    values: list[Any] = []
    named: dict[str, Any] = {}
    for argument in arguments:
        value = _value(connection, text, _expression(argument), parameters)
        name = str(argument.get("name") or "").casefold()
        if not name:
            values.append(value)
        elif name in NAMED:
            named[NAMED[name]] = value
        else:
            raise InvalidArgumentError(f"SQL: nearest() takes no {name!r}; {USAGE}")
    if not 1 <= len(values) <= 2 or not isinstance(values[0], str):
        raise InvalidArgumentError(f"SQL: nearest() takes a collection's name and a vector: {USAGE}")
    vector = values[1] if len(values) == 2 else None
    if isinstance(vector, list) and all(isinstance(number, Decimal) for number in vector):
        vector = [float(number) for number in vector]  # [0.1, 0.2] are decimals to DuckDB
    return search(values[0], vector, **named).to_arrow()


def _value(connection: duckdb.DuckDBPyConnection, text: bytes, expression: Mapping[str, Any], parameters: Any) -> Any:
    """The value of a parameter, or of an expression that is the same for all rows."""
    import duckdb

    if expression["class"] == "PARAMETER":
        name = str(expression["identifier"])
        try:
            return parameters[name] if isinstance(parameters, dict) else parameters[int(name) - 1]
        except (KeyError, IndexError, TypeError, ValueError):
            raise InvalidArgumentError(f"SQL: nearest() is given ${name}, but parameters= has no such value") from None
    start, end = _span(expression)
    try:
        ((value,),) = connection.execute(f"SELECT {text[start:end].decode()}").fetchall()
    except duckdb.Error as error:
        raise InvalidArgumentError(
            f"SQL: what nearest() is given must be a constant or one parameter, not "
            f"{text[start:end].decode()!r:.80}: {first_line(error)}"
        ) from None
    return value
