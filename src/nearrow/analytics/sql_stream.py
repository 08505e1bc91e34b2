"""SQL stream: how is a query answered batch by batch, with bounded memory and threads?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from nearrow.analytics.sql import check_parameters, explained, register_view
from nearrow.analytics.sql_filter import locked_database
from nearrow.segment.view import View

if TYPE_CHECKING:
    import duckdb

BATCH_ROWS = 16_384


def prepare(views: Mapping[str, View], query: str, *, threads: int, memory_bytes: int) -> duckdb.DuckDBPyConnection:
    """A DuckDB of its own, locked, with the views as tables for this query; what needs more memory is refused."""
    database = locked_database(threads, memory_bytes=memory_bytes)
    for number, (name, view) in enumerate(views.items()):
        register_view(database, number, name, view, query)
    return database


def stream(connection: duckdb.DuckDBPyConnection, query: str, parameters: Any = None) -> pa.RecordBatchReader:
    """The result of the query, computed while it is read; what goes wrong meanwhile is as in `fetch`."""
    check_parameters(parameters)
    with explained():
        reader = connection.sql(query, params=parameters).to_arrow_reader(BATCH_ROWS)
    return pa.RecordBatchReader.from_batches(reader.schema, _read(reader))


def _read(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    while True:
        with explained():
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                return
        yield batch
