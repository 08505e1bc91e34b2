"""Snapshot files: how do the rows and the graph of one part become Parquet?"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from nearrow.analytics.snapshot_place import DigestedFile, NewFile
from nearrow.errors import InvalidArgumentError
from nearrow.index.graph_tables import GraphTables, Neighbours
from nearrow.segment.view import Part, View, alive_mask
from nearrow.storage.manifest import FileEntry

COMPRESSIONS = ("snappy", "zstd", "lz4", "gzip", "none")
LIST_ROWS = 1 << 14

_NEAR = pa.list_(pa.int64())
NEIGHBORS_SCHEMA = pa.schema([("part", pa.string()), ("row", pa.int64()), ("node", pa.int32()), ("neighbors", _NEAR)])
LAYERS_SCHEMA = NEIGHBORS_SCHEMA.insert(1, pa.field("level", pa.int8()))


@dataclass(frozen=True)
class ParquetOptions:
    """How the files are cut, encoded and compressed."""

    compression: str = "snappy"
    row_group_rows: int = 1 << 15
    data_page_bytes: int = 1 << 20
    byte_stream_split: bool = True
    """Of the vectors: the first bytes of all floats, then the second ones, … which compresses better."""

    def __post_init__(self) -> None:
        if self.compression not in COMPRESSIONS:
            known = ", ".join(COMPRESSIONS)
            raise InvalidArgumentError(f"unknown compression {self.compression!r}; there are: {known}")
        if not isinstance(self.byte_stream_split, bool):
            raise InvalidArgumentError(f"byte_stream_split must be True or False, not {self.byte_stream_split!r}")
        for name in ("row_group_rows", "data_page_bytes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InvalidArgumentError(f"{name} must be a positive int, not {value!r}")

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


class PartFiles:
    """The tables of one part. `name` is the part's, as the tables state it."""

    def __init__(self, name: str, part: Part | None, view: View, options: ParquetOptions) -> None:
        self._name = name
        self._part = part
        self._view = view
        self._options = options

    def write_vectors(self, file: NewFile) -> None:
        """The alive rows, with the columns of the view."""
        view, part = self._view, self._part
        rows: Iterable[pa.RecordBatch] = ()
        if part is not None:
            alone = View((part,), view.schema, view.lsn, view.generation)
            rows = alone.scan(view.schema.names, self._options.row_group_rows, [part.alive])
        self._write(file, rows, view.schema)

    def write_neighbors(self, file: NewFile) -> None:
        """Level 0 of the graph, if there is one."""
        tables = self._graph_tables()
        lists = () if tables is None else tables.level_0(LIST_ROWS)
        self._write(file, (self._table(found) for found in lists), NEIGHBORS_SCHEMA)

    def write_layers(self, file: NewFile) -> None:
        """The levels above."""
        tables = self._graph_tables()
        levels = () if tables is None else range(1, len(tables.level_nodes))
        found = (self._table(tables.level(level), level) for level in levels if tables is not None)
        self._write(file, found, LAYERS_SCHEMA)

    def _graph_tables(self) -> GraphTables | None:
        if self._part is None or self._part.graph is None:
            return None
        return GraphTables(self._part.graph, _row_of(self._part))

    def _table(self, found: Neighbours, level: int | None = None) -> pa.RecordBatch:
        columns = [
            pa.repeat(self._name, len(found.rows)),
            pa.array(found.rows),
            pa.array(found.nodes),
            pa.ListArray.from_arrays(pa.array(found.starts), pa.array(found.near)),
        ]
        if level is None:
            return pa.RecordBatch.from_arrays(columns, schema=NEIGHBORS_SCHEMA)
        columns.insert(1, pa.repeat(pa.scalar(level, pa.int8()), len(found.rows)))
        return pa.RecordBatch.from_arrays(columns, schema=LAYERS_SCHEMA)

    def _write(self, file: NewFile, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
        options = self._options
        columns = list(chain.from_iterable(leaf_columns(field.name, field.type) for field in schema))
        vector = [name for name, type_ in columns if name.startswith("vector.") and pa.types.is_floating(type_)]
        writer = pq.ParquetWriter(
            pa.PythonFile(file, "w"),
            schema,
            compression=options.compression,
            data_page_size=options.data_page_bytes,
            use_dictionary=[name for name, _ in columns if name not in vector],
            use_byte_stream_split=vector if options.byte_stream_split else [],
            write_page_checksum=True,
        )
        with writer:
            for group in _groups(batches, options.row_group_rows):
                writer.write_table(group, row_group_size=options.row_group_rows)


def entry_of(file: NewFile) -> FileEntry:
    """Length and digest of what was written."""
    assert isinstance(file, DigestedFile)
    return file.entry


def _row_of(part: Part) -> npt.NDArray[np.int64]:
    """Position → row in the part's file, −1 where the row is dead."""
    mask = alive_mask(part.alive, 0, part.rows)
    if mask is None:
        return np.arange(part.rows, dtype=np.int64)
    return np.where(mask, np.cumsum(mask) - 1, -1).astype(np.int64)


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


def check_columns(schema: pa.Schema) -> None:
    """InvalidArgumentError if Parquet has no such type."""
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
