"""Restore: which rows does a snapshot hold, and are they what was written?

Nothing in the directory is trusted: every file is a plain one with a name of the known form, has the digest that
metadata.parquet states, and its rows pass the same checks as rows from a user.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from nearrow.analytics.snapshot_metadata import ADVICE, GRAPH, METADATA_FILE, VECTORS, SnapshotMetadata, file_of
from nearrow.analytics.snapshot_place import Place
from nearrow.errors import CorruptionError, NotFoundError
from nearrow.storage.published import digest

READERS = 2
AHEAD = 4


@dataclass(frozen=True)
class StoredPart:
    """Some rows of a snapshot, and the graph over them in this order; None where it must be built again."""

    name: str
    metadata: SnapshotMetadata
    rows: pa.Buffer
    graph: pa.Buffer | None

    def batches(self, batch_rows: int) -> pa.RecordBatchReader:
        """The rows, in order, `batch_rows` at a time; CorruptionError, while it is read, for Parquet that cannot be."""
        with _readable(self.name):
            file = pq.ParquetFile(pa.BufferReader(self.rows))
            schema = file.schema_arrow
            if not schema.equals(self.metadata.schema):
                raise CorruptionError(f"{self.name}: not the columns that the metadata states; {ADVICE}")

        def batches() -> Iterator[pa.RecordBatch]:
            with _readable(self.name):
                yield from _decoded(file, batch_rows)

        return pa.RecordBatchReader.from_batches(schema, batches())

    @property
    def count(self) -> int:
        with _readable(self.name):
            count: int = pq.ParquetFile(pa.BufferReader(self.rows)).metadata.num_rows
            return count


def _decoded(file: pq.ParquetFile, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """The rows in order, decoded by a thread a little ahead of what is used; a vector column keeps only one thread busy.

    Not a row group at a time: the first rows would come late, and each group in memory that was never touched before.
    """
    batches = file.iter_batches(batch_rows, use_threads=False)
    with ThreadPoolExecutor(1) as pool:
        ahead = deque(pool.submit(next, batches, None) for _ in range(AHEAD))
        while (batch := ahead.popleft().result()) is not None:
            ahead.append(pool.submit(next, batches, None))
            yield batch


def open_parts(place: Place, metadata: SnapshotMetadata) -> list[StoredPart]:
    """The parts of a snapshot, each file verified; CorruptionError if one is not what was written."""
    files = {name: sized(place, name, metadata) for name in metadata.files}
    with ThreadPoolExecutor(READERS) as pool:
        for name, found in zip(files, pool.map(digest, files.values()), strict=True):
            if found != metadata.files[name].digest:
                raise CorruptionError(f"{place.where}/{name}: digest mismatch; {ADVICE}")
    parts = [
        StoredPart(f"{place.where}/{rows}", metadata, files[rows], files.get(graph))
        for rows, graph in ((file_of(VECTORS, part), file_of(GRAPH, part)) for part in metadata.parts)
    ]
    if sum(part.count for part in parts) != metadata.rows:
        raise CorruptionError(f"{place.where}: not as many rows as the metadata states; {ADVICE}")
    return parts


def sized(place: Place, name: str, metadata: SnapshotMetadata) -> pa.Buffer:
    """A file whose length is what the metadata says."""
    data, expected = place.read(name), metadata.files[name].length
    if data.size != expected:
        raise CorruptionError(f"{place.where}/{name}: {data.size} bytes, the metadata says {expected}; {ADVICE}")
    return data


def read_metadata(place: Place) -> SnapshotMetadata:
    """What the snapshot says of itself."""
    if not place.has(METADATA_FILE):
        series = [folder for folder in place.folders() if place.below(folder).has(METADATA_FILE)]
        if series:
            raise NotFoundError(
                f"{place.where} holds {len(series)} snapshots; the newest is {place.where}/{series[-1]}"
            )
    data = place.read(METADATA_FILE)
    with _readable(f"{place.where}/{METADATA_FILE}"):
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
