"""Incoming: which rows does a file, a folder, or another library's index hold, and by which metric are they near?

Each library has a module of its own, which is imported only when something of that library is given.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearrow.analytics.exchange.files import file_schema, find_vector_column, open_rows
from nearrow.errors import InvalidArgumentError, NotFoundError

BATCH_ROWS = 8192
INDEXES = {"hnswlib": "from_hnswlib", "faiss": "from_faiss", "usearch": "from_usearch"}
"""The package that an index object comes from → the module here that reads it."""


@dataclass(frozen=True)
class Incoming:
    """Rows with the columns id and vector. `metric` and `text_fields` are those of the source; None if it states none."""

    rows: pa.RecordBatchReader
    dimension: int
    count: int | None = None
    metric: str | None = None
    text_fields: tuple[str, ...] = ()


def incoming(source: Any, table: str | None, id_column: str | None, vector_column: str | None) -> Incoming:
    """The rows of `source`: a path, or an index of hnswlib, faiss or usearch.

    table: which one, where the path is a directory of LanceDB or Chroma that holds several.
    """
    package = type(source).__module__.partition(".")[0]
    if package in INDEXES:
        return _read(INDEXES[package], source)
    if not isinstance(source, (str, os.PathLike)):
        raise InvalidArgumentError(
            f"adopt() takes a path, or an index of {', '.join(INDEXES)}; write rows of other kinds with add()"
        )
    path = Path(source)
    if not path.exists():
        raise NotFoundError(f"no such file or folder: {path}")
    for library, module, is_its in (
        ("chromadb", "from_chroma", (path / "chroma.sqlite3").exists()),
        ("lancedb", "from_lancedb", path.is_dir() and any(path.glob("*.lance"))),
    ):
        if is_its:
            require(library)
            return _read(module, path, table)
    return _of_files(path, id_column, vector_column)


def _read(module: str, *source: Any) -> Incoming:
    found: Incoming = import_module(f"nearrow.analytics.exchange.{module}").read(*source)
    return found


def require(library: str) -> None:
    """InvalidArgumentError if the library is not installed."""
    if find_spec(library) is None:
        raise InvalidArgumentError(f"this needs {library} to be read; run: pip install {library}")


def chosen_table(names: Sequence[str], table: str | None, path: Path) -> str:
    """The table asked for, or the only one."""
    if table is None and len(names) == 1:
        return names[0]
    if table is None or table not in names:
        raise NotFoundError(f"{path} holds {', '.join(map(repr, names)) or 'nothing'}; name one: table=")
    return table


def of_arrays(ids: npt.NDArray[np.int64], vectors: npt.NDArray[np.float32], metric: str) -> Incoming:
    """ids [n] and vectors [n, d] as rows."""
    count, dimension = vectors.shape

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, count, BATCH_ROWS):
            piece = np.ascontiguousarray(vectors[start : start + BATCH_ROWS], np.float32)
            column = pa.FixedSizeListArray.from_arrays(pa.array(piece.ravel()), dimension)
            yield pa.RecordBatch.from_arrays([pa.array(ids[start : start + BATCH_ROWS]), column], schema=schema)

    schema = pa.schema([("id", pa.int64()), ("vector", pa.list_(pa.float32(), dimension))])
    return Incoming(pa.RecordBatchReader.from_batches(schema, batches()), dimension, count, metric)


def _of_files(path: Path, id_column: str | None, vector_column: str | None) -> Incoming:
    schema = file_schema(path)
    vector = vector_column or find_vector_column(schema, path)
    numbered = id_column is None or (id_column == "id" and "id" not in schema.names)
    rows = open_rows(path, {vector: "vector"} if numbered else {str(id_column): "id", vector: "vector"})
    if numbered:
        rows = _numbered(rows)
    dimension = rows.schema.field("vector").type.list_size
    return Incoming(rows, dimension)


def _numbered(rows: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """The same rows with their numbers, from 0, as ids."""

    def batches() -> Iterator[pa.RecordBatch]:
        first = 0
        for batch in rows:
            ids = pa.array(np.arange(first, first + batch.num_rows))
            first += batch.num_rows
            yield pa.RecordBatch.from_arrays([ids, *batch.columns], schema=schema)

    schema = rows.schema.insert(0, pa.field("id", pa.int64()))
    return pa.RecordBatchReader.from_batches(schema, batches())
