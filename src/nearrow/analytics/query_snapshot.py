"""Query snapshot: what do the Parquet files of a snapshot say, without restoring it?"""

from __future__ import annotations

import os
from contextlib import closing
from typing import Any

from nearrow.analytics.restore import read_metadata
from nearrow.analytics.snapshot_metadata import ADVICE, METADATA_FILE, TABLES, VECTORS_FILE, SnapshotMetadata
from nearrow.analytics.snapshot_path import local_path, map_regular
from nearrow.analytics.sql import check_only_reads, check_question, fetch, formatted, quoted
from nearrow.analytics.sql_filter import escaped, locked_database
from nearrow.errors import CorruptionError


def query_snapshot(path: str | os.PathLike[str], sql: str, parameters: Any = None, *, format: str = "arrow") -> Any:
    """DuckDB over the Parquet files of a snapshot: a pyarrow.Table, or as `format` says (see `Collection.sql`).

    The rows are the table of the collection's name, and `vectors`; `neighbors`, `layers` and `metadata` are the others.
    Only SELECT, and no file but these. Lengths are checked, digests are not, as that would read everything:
    `Database.restore` checks them. NotFoundError, CorruptionError or IncompatibleFormatError if there is no snapshot.
    """
    check_question(sql, format)
    folder = local_path(path)
    metadata = read_metadata(folder)
    for name in TABLES:
        size, expected = map_regular(folder, name).size, metadata.files[name].length
        if size != expected:
            raise CorruptionError(f"{folder}/{name}: {size} bytes, the metadata says {expected}; {ADVICE}")
    files = [os.path.join(folder, name) for name in (*TABLES, METADATA_FILE)]
    with closing(locked_database(None, readable=files)) as connection:
        for table, select in _tables(folder, metadata).items():
            connection.execute(f"CREATE TEMP VIEW {quoted(table)} AS {select}")
        check_only_reads(connection, sql)
        return formatted(fetch(connection, sql, parameters), format)


def _tables(folder: str, metadata: SnapshotMetadata) -> dict[str, str]:
    """Name → SELECT. The collection's name wins over those of the other tables."""
    name = metadata.config.name
    tables = {
        file.removesuffix(".parquet"): f"SELECT * FROM {_parquet(folder, file)}" for file in (*TABLES, METADATA_FILE)
    }
    rows = (
        f'SELECT * REPLACE (CAST("vector" AS FLOAT[{metadata.config.dimension:d}]) AS "vector") '
        f"FROM {_parquet(folder, VECTORS_FILE)}"
    )
    others = {table: select for table, select in tables.items() if table != name.casefold()}
    return {**others, **({} if name.casefold() == "vectors" else {"vectors": rows}), name: rows}


def _parquet(folder: str, file: str) -> str:
    return f"read_parquet('{escaped(os.path.join(folder, file))}')"
