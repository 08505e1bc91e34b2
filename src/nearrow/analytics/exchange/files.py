"""Files: how does a file of rows, or a folder of them, become a stream of Arrow batches?

Parquet, Arrow (file and stream), JSON lines and CSV, told apart by their suffix. Everything is read in batches, so
a file may be larger than memory. A CSV cell that holds a vector is written as a JSON list: "[0.1, 0.2]".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv

from nearrow.errors import InvalidArgumentError, NotFoundError, SchemaError

FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "ipc",
    ".feather": "ipc",
    ".ipc": "ipc",
    ".arrows": "stream",
    ".jsonl": "json",
    ".ndjson": "json",
    ".csv": "csv",
    ".tsv": "tsv",
}
BATCH_ROWS = 8192


def open_rows(path: Path, names: Mapping[str, str]) -> pa.RecordBatchReader:
    """The rows of `path` in batches, columns renamed by `names` (the file's name → ours), vectors as fixed lists."""
    if not path.exists():
        raise NotFoundError(f"no such file: {path}")
    reader = _reader(path)
    columns = set(reader.schema.names)
    for source, target in names.items():
        if source not in columns:
            raise NotFoundError(
                f"{path} has no column {source!r}, which was to be {target!r}; it has: {', '.join(sorted(columns))}"
            )
        if source != target and target in columns:
            raise SchemaError(f"{path} has a column {target!r} of its own beside {source!r}; rename one of them")
    batches = _converted(reader, names, path)
    first = next(batches, None)
    if first is None:
        raise InvalidArgumentError(f"{path} holds no rows; there is nothing to import")
    return pa.RecordBatchReader.from_batches(first.schema, _chain(first, batches))


def find_vector_column(schema: pa.Schema, path: Path) -> str:
    """The column "vector", or else the only one that holds lists of floats; SchemaError if there is not just one."""
    if "vector" in schema.names:
        return "vector"
    found = [field.name for field in schema if _is_list_of_floats(field.type)]
    if len(found) != 1:
        raise SchemaError(
            f"{path} has {len(found)} columns of lists of floats ({', '.join(found) or 'none'}); name one: vector_column="
        )
    return found[0]


def _is_list_of_floats(kind: pa.DataType) -> bool:
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(lists and pa.types.is_floating(kind.value_type))


def file_schema(path: Path) -> pa.Schema:
    """The columns of a file or folder; NotFoundError if there is none."""
    if not path.exists():
        raise NotFoundError(f"no such file: {path}")
    return _reader(path).schema


def vector_dimension(reader: pa.RecordBatchReader, path: Path) -> int:
    """How many numbers the vectors of `reader` have, by its schema."""
    kind = reader.schema.field("vector").type
    if not pa.types.is_fixed_size_list(kind):
        raise SchemaError(f"{path}: the vector column has type {kind}; expected lists of numbers of one length")
    return int(kind.list_size)


def _reader(path: Path) -> pa.RecordBatchReader:
    kind = FORMATS.get(_suffix(path))
    if kind is None:
        raise InvalidArgumentError(f"cannot tell the format of {path} by its suffix; known: {', '.join(FORMATS)}")
    if kind == "stream":
        return pa.ipc.open_stream(pa.memory_map(str(path)))
    import pyarrow.dataset as ds  # here, as it imports pandas where that is installed

    file_format = ds.CsvFileFormat(parse_options=csv.ParseOptions(delimiter="\t")) if kind == "tsv" else kind
    try:
        return ds.dataset(path, format=file_format).scanner(batch_size=BATCH_ROWS).to_reader()
    except pa.ArrowInvalid as error:
        raise SchemaError(f"{path} is not readable as {kind}: {error}") from error


def _suffix(path: Path) -> str:
    """The file's suffix; of a folder, that of the files in it if they are of one format."""
    if not path.is_dir():
        return path.suffix.lower()
    found = {inside.suffix.lower() for inside in path.rglob("*") if inside.is_file() and inside.name[0] not in "._"}
    kinds = {FORMATS.get(suffix) for suffix in found}
    if len(kinds) != 1 or None in kinds or kinds == {"stream"}:
        raise InvalidArgumentError(f"{path} must hold files of one format, not of {', '.join(sorted(found)) or 'none'}")
    return found.pop()


def _converted(reader: pa.RecordBatchReader, names: Mapping[str, str], path: Path) -> Iterator[pa.RecordBatch]:
    targets = [names.get(name, name) for name in reader.schema.names]
    index = targets.index("vector")
    try:
        for batch in reader:
            if batch.num_rows > 0:
                renamed = batch.rename_columns(targets)
                yield renamed.set_column(index, "vector", fixed_vectors(renamed.column(index)))
    except pa.ArrowInvalid as error:
        raise SchemaError(f"{path}: {error}") from error


def _chain(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    for batch in rest:
        if batch.schema != first.schema:
            raise SchemaError(f"the rows change their types on the way: first {first.schema}, then {batch.schema}")
        yield batch


def fixed_vectors(column: pa.Array) -> pa.FixedSizeListArray:
    """`column` (lists, fixed-size lists, or text like "[0.1, 0.2]") as fixed-size lists of float32 or float16."""
    kind = column.type
    if pa.types.is_fixed_size_list(kind) and (
        pa.types.is_float32(kind.value_type) or pa.types.is_float16(kind.value_type)
    ):
        return column
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = pa.array([_parsed(text) for text in column.to_pylist()], pa.list_(pa.float32()))
    if not (
        pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or pa.types.is_fixed_size_list(column.type)
    ):
        raise SchemaError(f"the vector column has type {kind}; expected lists of numbers")
    lengths = (
        np.unique(column.value_lengths().to_numpy(zero_copy_only=False)) if column.null_count == 0 else np.array([])
    )
    if len(lengths) != 1:
        raise SchemaError(
            "the vector column has nulls or lists of different lengths; every row needs a vector of one length"
        )
    return pa.FixedSizeListArray.from_arrays(column.flatten().cast(pa.float32()), int(lengths[0]))


def _parsed(text: str | None) -> list[float]:
    try:
        values = json.loads(text or "")
        return [float(value) for value in values]
    except (ValueError, TypeError) as error:
        raise SchemaError(f"a vector in a CSV file must be a JSON list of numbers, not {text!r}") from error
