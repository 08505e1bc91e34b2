"""Export: how do rows become a file of a format that others read?

The file is written under a temporary name beside its own and renamed: it is whole or not there. Told apart by the suffix.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv
from pyarrow import parquet as pq

from nearrow.analytics.values import plain_value
from nearrow.errors import AlreadyExistsError, InvalidArgumentError
from nearrow.progress import Advance
from nearrow.storage.os_errors import translated


def export_rows(rows: pa.RecordBatchReader, path: str | os.PathLike[str], advance: Advance) -> int:
    """Write the rows to the new file `path`; returns how many. `advance` is told of each batch."""
    target = Path(path)
    write = WRITERS.get(target.suffix.lower())
    if write is None:
        raise InvalidArgumentError(f"cannot tell the format of {target} by its suffix; known: {', '.join(WRITERS)}")
    if target.exists():
        raise AlreadyExistsError(f"{target} exists; rows are exported to a new file")
    count = 0

    def counted() -> Iterator[pa.RecordBatch]:
        nonlocal count
        for batch in rows:
            yield batch
            count += batch.num_rows
            advance(batch.num_rows)

    with _whole(target) as temporary:
        write(temporary, rows.schema, counted())
    return count


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    temporary = target.with_name(f"{target.name}-{uuid4().hex}.tmp")
    try:
        with translated("write", str(target)):
            yield temporary
            os.rename(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _parquet(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    with pq.ParquetWriter(path, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _arrow(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _csv(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    """Lists, structs and bytes as JSON in a cell: `nearrow import` reads such vectors back."""
    flat = pa.schema([pa.field(field.name, pa.string() if _is_json(field.type) else field.type) for field in schema])
    with csv.CSVWriter(path, flat) as writer:
        for batch in batches:
            columns = [_as_json(column) if _is_json(column.type) else column for column in batch.columns]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=flat))


def _is_json(kind: pa.DataType) -> bool:
    return bool(pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _as_json(column: pa.Array) -> pa.Array:
    values = (None if value is None else _json(value) for value in column.to_pylist())
    return pa.array(values, pa.string(), size=len(column))


def _json(value: Any) -> str:
    return json.dumps(plain_value(value), ensure_ascii=False)


def _json_lines(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for batch in batches:
            file.writelines(_json(row) + "\n" for row in batch.to_pylist())


def _npy(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    """The vectors [n, d] only."""
    with path.open("wb") as file:
        np.save(file, _matrix(pa.Table.from_batches(batches, schema)))


def _npz(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    """The arrays "ids" [n] and "vectors" [n, d]; other columns have no place in it."""
    table = pa.Table.from_batches(batches, schema)
    ids = table.column("id").to_numpy()
    with path.open("wb") as file:
        np.savez(file, ids=ids.astype(str) if ids.dtype == object else ids, vectors=_matrix(table))


def _matrix(table: pa.Table) -> npt.NDArray[Any]:
    kind = table.schema.field("vector").type
    pieces = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in table.column("vector").chunks]
    flat = np.concatenate([np.empty(0, kind.value_type.to_pandas_dtype()), *pieces])
    return flat.reshape(table.num_rows, kind.list_size)


Write = Callable[[Path, pa.Schema, Iterator[pa.RecordBatch]], None]
WRITERS: dict[str, Write] = {
    ".parquet": _parquet,
    ".arrow": _arrow,
    ".feather": _arrow,
    ".csv": _csv,
    ".jsonl": _json_lines,
    ".npz": _npz,
    ".npy": _npy,
}
