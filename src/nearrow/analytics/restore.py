"""Restore: which rows does a snapshot hold, and are they what was written?

Nothing in the directory is trusted: every file is a plain one of the known names, has the digest that metadata.parquet
states, and its rows pass the same checks as rows from a user.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from nearrow.analytics.snapshot_metadata import (
    ADVICE,
    GRAPH_FILE,
    METADATA_FILE,
    VECTORS_FILE,
    SnapshotMetadata,
)
from nearrow.analytics.snapshot_path import local_path, map_regular
from nearrow.errors import CorruptionError
from nearrow.storage.published import digest

BATCH_ROWS = 1 << 16


@dataclass(frozen=True)
class Snapshot:
    """A snapshot whose files are what was written. `graph` is None where it must be built again."""

    path: str
    metadata: SnapshotMetadata
    rows: pa.Buffer
    graph: pa.Buffer | None

    def batches(self) -> pa.RecordBatchReader:
        """The rows, in order; CorruptionError, while it is read, for Parquet that cannot be."""
        name = os.path.join(self.path, VECTORS_FILE)
        with _readable(name):
            file = pq.ParquetFile(pa.BufferReader(self.rows))
            schema = file.schema_arrow
            if not schema.equals(self.metadata.schema) or file.metadata.num_rows != self.metadata.rows:
                raise CorruptionError(f"{name}: not the columns and rows that the metadata states; {ADVICE}")

        def batches() -> Iterator[pa.RecordBatch]:
            with _readable(name):
                yield from file.iter_batches(BATCH_ROWS)

        return pa.RecordBatchReader.from_batches(schema, batches())


def open_snapshot(path: str | os.PathLike[str]) -> Snapshot:
    """The snapshot in a directory, verified: NotFoundError, CorruptionError or IncompatibleFormatError if there is none."""
    folder = local_path(path)
    metadata = read_metadata(folder)
    files: dict[str, pa.Buffer] = {}
    for name, entry in metadata.files.items():
        files[name] = map_regular(folder, name)
        where = os.path.join(folder, name)
        if files[name].size != entry.length:
            raise CorruptionError(f"{where}: {files[name].size} bytes, the metadata says {entry.length}; {ADVICE}")
        if digest(files[name]) != entry.digest:
            raise CorruptionError(f"{where}: digest mismatch; {ADVICE}")
    return Snapshot(folder, metadata, files[VECTORS_FILE], files.get(GRAPH_FILE))


def read_metadata(folder: str) -> SnapshotMetadata:
    """What the snapshot says of itself."""
    data = map_regular(folder, METADATA_FILE)
    with _readable(os.path.join(folder, METADATA_FILE)):
        table = pq.ParquetFile(pa.BufferReader(data)).read()
        table.validate(full=True)
    return SnapshotMetadata.from_table(table)


@contextmanager
def _readable(name: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, EOFError) as error:
        if isinstance(error, CorruptionError):
            raise
        raise CorruptionError(f"{name}: not the Parquet that was written ({error}); {ADVICE}") from error
