"""Snapshot: how does one version of a collection become Parquet tables that any tool reads?

The files are written into a folder with a temporary name beside the destination, synced, and described, with their
digests, by metadata.parquet, which comes last; then the folder is renamed. So a snapshot is whole or not there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from itertools import chain
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from nearrow.analytics.snapshot_metadata import (
    GRAPH_FILE,
    LAYERS_FILE,
    METADATA_FILE,
    NEIGHBORS_FILE,
    VECTORS_FILE,
    SnapshotMetadata,
)
from nearrow.analytics.snapshot_path import local_path
from nearrow.errors import AlreadyExistsError, InvalidArgumentError
from nearrow.index.graph_tables import GraphTables, Neighbours
from nearrow.schema import CollectionConfig
from nearrow.segment.view import Part, View, alive_mask
from nearrow.storage.directory import Directory
from nearrow.storage.local import LocalDirectory
from nearrow.storage.manifest import FileEntry
from nearrow.storage.os_errors import translated
from nearrow.storage.published import digest

COMPRESSIONS = ("snappy", "zstd", "lz4", "gzip", "none")
ROW_GROUP_ROWS = 1 << 16
DATA_PAGE_BYTES = 1 << 20
LIST_ROWS = 1 << 14

_NEAR = pa.list_(pa.int64())
NEIGHBORS_SCHEMA = pa.schema([("segment", pa.int32()), ("row", pa.int64()), ("node", pa.int32()), ("neighbors", _NEAR)])
LAYERS_SCHEMA = NEIGHBORS_SCHEMA.insert(1, pa.field("level", pa.int8()))


def write_snapshot(
    view: View,
    config: CollectionConfig,
    path: str | os.PathLike[str],
    *,
    compression: str = "snappy",
    row_group_rows: int = ROW_GROUP_ROWS,
    data_page_bytes: int = DATA_PAGE_BYTES,
) -> SnapshotMetadata:
    """Write the alive rows of `view` and its graphs to the new directory `path`; AlreadyExistsError if that is taken."""
    target = local_path(path)
    _check_options(compression, row_group_rows, data_page_bytes)
    _check_columns(view.schema)
    _check_free(target)
    parent = LocalDirectory(os.path.dirname(target))
    folder = f"snapshot-{uuid4().hex}.tmp"
    parent.make_folder(folder)
    try:
        writer = _Tables(parent.folder(folder), compression, row_group_rows, data_page_bytes)
        metadata = _write_files(writer, view, config)
        parent.sync_folder(folder)
        _check_free(target)
        with translated("rename the snapshot", target):
            os.rename(f"{parent.path}/{folder}", target)
        parent.sync_folder()
    except BaseException:
        parent.remove_folder(folder)
        raise
    return metadata


def _write_files(writer: _Tables, view: View, config: CollectionConfig) -> SnapshotMetadata:
    created_at = time.time_ns() // 1000
    parts = [part for part in view.parts if part.alive_count]
    rows = view.scan(view.schema.names, writer.row_group_rows, [part.alive for part in view.parts])
    writer.write(VECTORS_FILE, rows, view.schema)
    graphs = list(_graph_tables(parts))
    level_0 = (_table(s, n) for s, tables in graphs for n in tables.level_0(LIST_ROWS))
    writer.write(NEIGHBORS_FILE, level_0, NEIGHBORS_SCHEMA)
    upper = (
        _table(s, tables.level(level), level) for s, tables in graphs for level in range(1, len(tables.level_nodes))
    )
    writer.write(LAYERS_FILE, upper, LAYERS_SCHEMA)
    if len(parts) == 1 and parts[0].alive is None and parts[0].graph is not None:
        writer.copy(GRAPH_FILE, parts[0].graph.buffer)
    metadata = SnapshotMetadata(config, view.schema, view.count, created_at, dict(writer.files))
    writer.write(METADATA_FILE, metadata.to_table().to_batches(), metadata.to_table().schema)
    return metadata


def _graph_tables(parts: list[Part]) -> Iterator[tuple[int, GraphTables]]:
    first = 0
    for segment, part in enumerate(parts):
        if part.graph is not None:
            yield segment, GraphTables(part.graph, _rows_of(part, first))
        first += part.alive_count


def _rows_of(part: Part, first: int) -> npt.NDArray[np.int64]:
    """Position → row in vectors.parquet, −1 where the row is dead."""
    mask = alive_mask(part.alive, 0, part.rows)
    if mask is None:
        return np.arange(first, first + part.rows, dtype=np.int64)
    return np.where(mask, np.cumsum(mask) - 1 + first, -1).astype(np.int64)


def _table(segment: int, found: Neighbours, level: int | None = None) -> pa.RecordBatch:
    count = len(found.rows)
    columns = [
        pa.array(np.full(count, segment, np.int32)),
        pa.array(found.rows),
        pa.array(found.nodes),
        pa.ListArray.from_arrays(pa.array(found.starts), pa.array(found.near)),
    ]
    if level is None:
        return pa.RecordBatch.from_arrays(columns, schema=NEIGHBORS_SCHEMA)
    columns.insert(1, pa.array(np.full(count, level, np.int8)))
    return pa.RecordBatch.from_arrays(columns, schema=LAYERS_SCHEMA)


class _Tables:
    """Writes the files of one snapshot and keeps their lengths and digests."""

    def __init__(self, directory: Directory, compression: str, row_group_rows: int, data_page_bytes: int) -> None:
        self.files: dict[str, FileEntry] = {}
        self.row_group_rows = row_group_rows
        self._directory = directory
        self._compression = compression
        self._data_page_bytes = data_page_bytes

    def write(self, name: str, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
        columns = list(chain.from_iterable(leaf_columns(field.name, field.type) for field in schema))
        floats = [column for column, type_ in columns if column.startswith("vector.") and pa.types.is_floating(type_)]
        with self._directory.create(name) as file:
            writer = pq.ParquetWriter(
                pa.PythonFile(file, "w"),
                schema,
                compression=self._compression,
                data_page_size=self._data_page_bytes,
                use_dictionary=[column for column, _ in columns if column not in floats],
                use_byte_stream_split=floats,
                write_page_checksum=True,
            )
            with writer:
                for group in _groups(batches, self.row_group_rows):
                    writer.write_table(group, row_group_size=self.row_group_rows)
            file.sync()
        self._note(name)

    def copy(self, name: str, data: pa.Buffer) -> None:
        with self._directory.create(name) as file:
            file.write(data)
            file.sync()
        self._note(name)

    def _note(self, name: str) -> None:
        written = self._directory.map(name)  # still in the page cache
        self.files[name] = FileEntry(written.size, digest(written))


def leaf_columns(path: str, type_: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
    """The Parquet columns that an Arrow column of this type becomes."""
    if pa.types.is_struct(type_):
        for field in type_:
            yield from leaf_columns(f"{path}.{field.name}", field.type)
    elif pa.types.is_nested(type_):
        yield from leaf_columns(f"{path}.list.element", type_.value_type)
    else:
        yield path, type_


def _groups(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of `rows`, the last one shorter."""
    pending: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        while batch.num_rows:
            piece = batch.slice(0, rows - count)
            batch = batch.slice(piece.num_rows)
            pending.append(piece)
            count += piece.num_rows
            if count == rows:
                yield pa.Table.from_batches(pending)
                pending, count = [], 0
    if pending:
        yield pa.Table.from_batches(pending)


def _check_options(compression: str, row_group_rows: int, data_page_bytes: int) -> None:
    if compression not in COMPRESSIONS:
        raise InvalidArgumentError(f"unknown compression {compression!r}; there are: {', '.join(COMPRESSIONS)}")
    for name, value in (("row_group_rows", row_group_rows), ("data_page_bytes", data_page_bytes)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InvalidArgumentError(f"{name} must be a positive int, not {value!r}")


def _check_columns(schema: pa.Schema) -> None:
    for field in schema:
        for column, type_ in [(field.name, field.type), *_nested(field.name, field.type)]:
            if pa.types.is_struct(type_) and type_.num_fields == 0:
                raise InvalidArgumentError(f"column {column!r} is a struct without fields, which Parquet cannot hold")


def _nested(path: str, type_: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
    if not pa.types.is_nested(type_):
        return
    for index in range(type_.num_fields):
        field = type_.field(index)
        yield f"{path}.{field.name}", field.type
        yield from _nested(f"{path}.{field.name}", field.type)


def _check_free(target: str) -> None:
    empty = os.path.isdir(target) and not os.path.islink(target) and not os.listdir(target)
    if os.path.lexists(target) and not empty:
        raise AlreadyExistsError(f"{target} exists; a snapshot goes into a new directory")
