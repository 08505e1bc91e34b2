"""Query snapshot: what do the Parquet files of a snapshot say, without restoring it?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from nearrow.analytics.restore import read_metadata, sized
from nearrow.analytics.snapshot_address import place_of
from nearrow.analytics.snapshot_local import LocalPlace
from nearrow.analytics.snapshot_metadata import METADATA_FILE, PARQUET_TABLES, VECTORS, SnapshotMetadata
from nearrow.analytics.snapshot_place import Place
from nearrow.analytics.snapshot_remote import RemotePlace
from nearrow.analytics.sql import check_only_reads, check_question, fetch, formatted, readable_field
from nearrow.analytics.sql_filter import escaped, locked_database, quoted

if TYPE_CHECKING:
    import duckdb


def query_snapshot(
    path: str | os.PathLike[str], sql: str, parameters: Any = None, *, format: str = "arrow", filesystem: Any = None
) -> Any:
    """DuckDB over the Parquet files of a snapshot: a pyarrow.Table, or as `format` says (see `Collection.sql`).

    The rows are the table of the collection's name, and `vectors`; `neighbors`, `layers` and `metadata` are the others.
    Only SELECT, and no file but these; of an object store, only the columns and row groups that the query needs are fetched.
    Lengths are checked, digests are not, as that would read everything: `Database.restore` checks them. NotFoundError,
    CorruptionError or IncompatibleFormatError if there is no snapshot. filesystem: one of `pyarrow.fs`, in which `path` is.
    """
    check_question(sql, format)
    place = place_of(path, filesystem)
    metadata = read_metadata(place)
    tables = {table: metadata.files_of(table) for table in PARQUET_TABLES} | {METADATA_FILE: [METADATA_FILE]}
    readable: list[str] = []
    if isinstance(place, LocalPlace):
        for name in metadata.files:
            sized(place, name, metadata)
        readable = [f"{place.where}/{name}" for names in tables.values() for name in names]
    with closing(locked_database(None, readable=readable)) as connection:
        rows = pa.schema([readable_field(field) for field in metadata.schema])
        sources = {
            table: _source(connection, place, table, names, rows if table == VECTORS else None)
            for table, names in tables.items()
        }
        for table, select in _selects(sources, metadata).items():
            connection.execute(f"CREATE TEMP VIEW {quoted(table)} AS {select}")
        check_only_reads(connection, sql)
        return formatted(fetch(connection, sql, parameters), format)


def _source(
    connection: duckdb.DuckDBPyConnection, place: Place, table: str, names: Sequence[str], schema: pa.Schema | None
) -> str:
    """What a SELECT reads a table from; `schema`, where it is not that of the files."""
    if isinstance(place, RemotePlace):
        from pyarrow import dataset  # here, as it imports pandas where that is installed

        # A pyarrow dataset, which DuckDB asks for columns and row groups: DuckDB's own reader may reach nothing.
        paths = [place.at(name) for name in names]
        files = dataset.dataset(paths, schema=schema, filesystem=place.filesystem, format="parquet")
        connection.register(f"files/{table}", files)
        return quoted(f"files/{table}")
    files = ", ".join(f"'{escaped(f'{place.where}/{name}')}'" for name in names)
    return f"read_parquet([{files}])"


def _selects(sources: dict[str, str], metadata: SnapshotMetadata) -> dict[str, str]:
    """Name → SELECT. The collection's name wins over those of the other tables."""
    name = metadata.config.name
    selects = {table.removesuffix(".parquet"): f"SELECT * FROM {source}" for table, source in sources.items()}
    vector = f'CAST("vector" AS FLOAT[{metadata.config.dimension:d}])'  # Parquet knows lists of any length only
    rows = f'SELECT * REPLACE ({vector} AS "vector") FROM {sources[VECTORS]}'
    others = {table: select for table, select in selects.items() if table != name.casefold()}
    return {**others, **({} if name.casefold() == "vectors" else {"vectors": rows}), name: rows}
