"""SQL: how is a whole query answered over rows that are alive right now, without copying them?

Each collection is one Arrow table made of the batches as they lie in the mapped files, with the bitmap of alive rows as
one more boolean column, and a DuckDB view of its name that selects the alive rows. DuckDB works in memory and reaches no
file, network or extension. What a query makes ends with it: one that only reads shares a DuckDB with others of its kind,
each with a connection and tables of its own; any other has a DuckDB for itself.
"""

from __future__ import annotations

import json
import os
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from nearrow.analytics.dictionaries import dictionary_columns, repeating_columns
from nearrow.analytics.sql_filter import first_line, locked_database, quoted, unsliced
from nearrow.analytics.sql_nearest import Search, with_searches
from nearrow.analytics.values import plain_value
from nearrow.errors import InvalidArgumentError, LimitExceededError, StorageError
from nearrow.hits import Hits
from nearrow.segment.rows import Bits, fill_columns
from nearrow.segment.view import Part, View

if TYPE_CHECKING:
    import duckdb

ALIVE = "_alive"  # no column of a user begins with an underscore
FORMATS = ("arrow", "pandas", "polars", "json")
HITS = "hits"

_shared: dict[int, duckdb.DuckDBPyConnection] = {}  # by process: a forked child has no threads for its parent's
_shared_locks = defaultdict[int, threading.Lock](threading.Lock)


def run_sql(
    query: str,
    views: Mapping[str, View],
    parameters: Any = None,
    *,
    hits: Any = None,
    format: str = "arrow",
    search: Search | None = None,
) -> Any:
    """The result of `query` over the views by their names, and `hits`, if given, as the table "hits".

    search: what answers calls of nearest().
    """
    check_question(query, format)
    folded = [name.casefold() for name in views]
    if hits is not None and HITS in folded:
        raise InvalidArgumentError('a collection of this query is called "hits" itself; leave out hits=')
    if len(set(folded)) < len(folded):
        raise InvalidArgumentError(f"SQL does not tell apart names that differ in case only: {', '.join(views)}")
    with closing(_connection(query)) as connection:
        for number, (name, view) in enumerate(views.items()):
            register_view(connection, number, name, view, query)
        if hits is not None:
            connection.register(HITS, unsliced(hits_table(hits)))
        query, tables = with_searches(connection, query, parameters, search)
        for table, found in tables.items():
            connection.register(table, unsliced(found))
        return formatted(fetch(connection, query, parameters), format)


def _connection(query: str) -> duckdb.DuckDBPyConnection:
    """A connection for this query, to the shared DuckDB if that will be left as it was. Making one takes 40 ms."""
    process = os.getpid()
    with _shared_locks[process]:
        if process not in _shared:  # the parent's stays there: closing it here would wait for its threads
            _shared[process] = locked_database(None)
        cursor = _shared[process].cursor()
    try:
        if only_reads(cursor, query):
            return cursor
    except BaseException:
        cursor.close()
        raise
    cursor.close()
    return locked_database(None)


def check_question(query: object, format: str) -> None:
    """InvalidArgumentError unless `query` is text and `format` known."""
    if not isinstance(query, str) or not query.strip():
        raise InvalidArgumentError(f"a query is SQL text, such as SELECT count(*) FROM docs, not {query!r:.80}")
    if format not in FORMATS:
        raise InvalidArgumentError(f"unknown format {format!r}; there are: {', '.join(FORMATS)}")


def named_in(query: str, names: Sequence[str]) -> list[str]:
    """Those collections whose name stands anywhere in the text: at least all that it reads."""
    text = query.casefold() if isinstance(query, str) else ""
    return [name for name in names if quoted(name.casefold())[1:-1] in text]


def fetch(connection: duckdb.DuckDBPyConnection, query: str, parameters: Any) -> pa.Table:
    """What the (last) statement gives; an empty table if it gives nothing. Errors become Nearrow's."""
    check_parameters(parameters)
    with explained():
        relation = connection.sql(query, params=parameters)
        return pa.table({}) if relation is None else relation.to_arrow_table()


def check_parameters(parameters: Any) -> None:
    """InvalidArgumentError unless they are what `?` or `$name` can be bound to."""
    if parameters is not None and not isinstance(parameters, (list, tuple, dict)):
        raise InvalidArgumentError(f"parameters is a list (for ?) or a dict (for $name), not {parameters!r:.80}")


@contextmanager
def explained() -> Iterator[None]:
    """DuckDB's errors become Nearrow's, each with its first line."""
    import duckdb

    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise LimitExceededError(f"SQL needs more memory than it may use: {first_line(error)}") from error
    except (duckdb.IOException, duckdb.InternalException, duckdb.FatalException) as error:
        raise StorageError(f"SQL failed: {first_line(error)}") from error
    except (duckdb.Error, ValueError, TypeError, RuntimeError) as error:
        raise InvalidArgumentError(f"SQL: {first_line(error)}") from None


def only_reads(connection: duckdb.DuckDBPyConnection, query: str) -> bool:
    """Whether every statement of the query is a SELECT; InvalidArgumentError if it cannot be parsed."""
    import duckdb

    try:
        kinds = [statement.type for statement in connection.extract_statements(query)]
    except duckdb.Error as error:
        raise InvalidArgumentError(f"SQL: {first_line(error)}") from None
    return bool(kinds) and all(kind == duckdb.StatementType.SELECT for kind in kinds)


def check_only_reads(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    """InvalidArgumentError unless every statement of the query is a SELECT."""
    if not only_reads(connection, query):
        raise InvalidArgumentError("SQL: here a query is a SELECT and nothing else")


def formatted(table: pa.Table, format: str) -> Any:
    """pyarrow.Table, pandas or polars frame, or JSON text: a list of objects."""
    if format == "pandas":
        return table.to_pandas()
    if format == "polars":
        import polars

        return polars.from_arrow(table)
    if format == "json":
        return json.dumps([plain_value(row) for row in table.to_pylist()], ensure_ascii=False)
    return table


def hits_table(hits: Any) -> pa.Table:
    """The hits of one search, or of a batch (then with the column `query`), or any Arrow table."""
    if isinstance(hits, Hits):
        return hits.to_arrow()
    if isinstance(hits, pa.Table):
        return hits
    if isinstance(hits, list) and hits and all(isinstance(one, Hits) for one in hits):
        tables = [one.to_arrow() for one in hits]
        numbered = [
            table.add_column(0, "query", pa.array(np.full(table.num_rows, number, np.int64)))
            for number, table in enumerate(tables)
        ]
        return pa.concat_tables(numbered, promote_options="permissive")
    raise InvalidArgumentError("hits= takes what search() returned, or a pyarrow.Table")


def live_table(view: View, repeating: Sequence[str] = ()) -> pa.Table:
    """All stored rows of the view with the user's columns and `_alive`, which is missing if all are: by reference.

    Only float16 vectors are copied, as float32: DuckDB has no such type; and the columns `repeating` are dictionary-encoded.
    """
    schema = pa.schema(
        [_encoded_field(field) if field.name in repeating else readable_field(field) for field in view.schema]
    )
    marked = any(part.alive is not None for part in view.parts)
    full = schema.append(pa.field(ALIVE, pa.bool_())) if marked else schema
    batches = [batch for part in view.parts for batch in _conformed(part, schema, full, repeating)]
    return unsliced(pa.Table.from_batches(batches, full))


def readable_field(field: pa.Field) -> pa.Field:
    """The field as DuckDB can read it."""
    type_ = field.type
    if pa.types.is_fixed_size_list(type_) and pa.types.is_float16(type_.value_type):
        return pa.field(field.name, pa.list_(pa.float32(), type_.list_size))
    return pa.field(field.name, type_)


def _encoded_field(field: pa.Field) -> pa.Field:
    return pa.field(field.name, pa.dictionary(pa.int32(), field.type))


def _conformed(part: Part, schema: pa.Schema, full: pa.Schema, repeating: Sequence[str]) -> Iterator[pa.RecordBatch]:
    encoded = {name: iter(dictionary_columns(part, name)) for name in repeating}
    start = 0
    for batch in part.batches:
        present = [name for name in schema.names if batch.schema.get_field_index(name) >= 0]
        columns = [next(encoded[name]) if name in encoded else batch.column(name) for name in present]
        table = fill_columns(pa.Table.from_arrays(columns, present), schema)
        for piece in table.to_batches():
            columns = list(piece.columns)
            if len(full) > len(schema):
                columns.append(_alive_column(part.alive, start, piece.num_rows))
            yield pa.RecordBatch.from_arrays(columns, schema=full)
            start += piece.num_rows


def _alive_column(alive: Bits | None, start: int, rows: int) -> pa.Array:
    """Booleans of positions start .. start + rows: the bitmap itself, for Arrow packs booleans in the same order."""
    if alive is None:
        alive, start = np.full(-(-rows // 8), 0xFF, np.uint8), 0
    return pa.Array.from_buffers(pa.bool_(), rows, [None, pa.py_buffer(alive)], offset=start)


def register_view(connection: duckdb.DuckDBPyConnection, number: int, name: str, view: View, query: str) -> None:
    """Make the alive rows of the view the table of this name; `number` is one that no other view has here."""
    rows = live_table(view, repeating_columns(view, query))
    if ALIVE not in rows.column_names:
        connection.register(name, rows)
        return
    table = f"rows/{number}"  # no collection's name has a slash in it
    connection.register(table, rows)
    alive = quoted(ALIVE)
    connection.execute(
        f"CREATE TEMP VIEW {quoted(name)} AS SELECT * EXCLUDE ({alive}) FROM {quoted(table)} WHERE {alive}"
    )
