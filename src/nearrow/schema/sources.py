"""Sources: how does any kind of rows become Arrow batches?

Nothing is checked here beyond what is needed to make Arrow of it; `rows` does the checking. pandas and polars are never
imported: a frame of theirs can only be given if they are loaded already.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from nearrow.errors import InvalidArgumentError, SchemaError
from nearrow.schema.config import ID_COLUMN, VECTOR_COLUMN, CollectionConfig
from nearrow.schema.vectors import matrix_from_python

BATCH_ROWS_MAX = 65_536
Piece = tuple[pa.RecordBatch, Sequence[int]]  # a batch, and the caller's row number of each of its rows


@dataclass(frozen=True)
class Source:
    """Rows as Arrow: their schemas (one, or one for each set of keys of a partial update), the pieces, their number."""

    schemas: tuple[pa.Schema, ...]
    pieces: Iterable[Piece]
    count: int | None
    streamed: bool
    trusted: bool = False  # built here from Python values, so that Arrow's own invariants need no validation


def open_source(rows: Any, config: CollectionConfig, *, partial: bool) -> Source:
    """`rows` of any kind as a Source; InvalidArgumentError for a kind that is not understood."""
    if isinstance(rows, pa.RecordBatch):
        rows = pa.Table.from_batches([rows])
    if isinstance(rows, pa.Table):
        return _from_table(rows)
    if isinstance(rows, pa.RecordBatchReader):
        return _from_reader(rows, None)
    if _is_a(rows, "pyarrow.dataset", "Dataset"):
        return _from_reader(rows.scanner(batch_size=BATCH_ROWS_MAX, use_threads=True).to_reader(), rows.count_rows())
    if _is_a(rows, "pandas", "DataFrame"):
        return _from_table(_table_of_pandas(rows))
    if _is_a(rows, "polars", "LazyFrame"):
        rows = rows.collect()
    if _is_a(rows, "polars", "DataFrame"):
        return _from_table(pa.table(rows))
    if hasattr(rows, "__arrow_c_stream__"):
        return _from_reader(pa.RecordBatchReader.from_stream(rows), None)
    if isinstance(rows, Mapping):
        return _from_columns(rows, config)
    if isinstance(rows, Iterable) and not isinstance(rows, (str, bytes, np.ndarray)):
        return _from_iterable(rows, config, partial)
    raise InvalidArgumentError(
        f"rows of type {type(rows).__name__} are not understood; give an Arrow table, batch, reader or dataset, "
        f"a pandas or polars frame, a list of dicts, or the keywords ids=, vectors=, texts=, metadata="
    )


def _is_a(rows: Any, module: str, kind: str) -> bool:
    """Whether it is one of `module.kind`, without importing that: if nobody did, it cannot be.

    Another thread may be importing the module right now; then it has no such class yet, and nobody an object of it.
    """
    found = getattr(sys.modules.get(module), kind, None)
    return found is not None and isinstance(rows, found)


def columns_of_keywords(
    ids: Any, vectors: Any, texts: Any, metadata: Any, config: CollectionConfig, text_field: str | None
) -> dict[str, Any]:
    """The keyword spelling as a dict of columns. `texts` fills `text_field`, or several columns if it is a mapping."""
    columns: dict[str, Any] = {}
    if ids is None:
        raise InvalidArgumentError("ids= is missing; every row needs an id")
    columns[ID_COLUMN] = ids
    if vectors is not None:
        columns[VECTOR_COLUMN] = vectors
    if texts is not None and not isinstance(texts, Mapping):
        if text_field is None:
            raise InvalidArgumentError(f"texts= given, but {config.name!r} has no text_fields; use metadata=")
        texts = {text_field: texts}
    for name, values in chain((texts or {}).items(), _metadata_columns(metadata)):
        if name in columns:
            raise InvalidArgumentError(f"column {name!r} is given twice, by keyword and in texts= or metadata=")
        columns[name] = values
    return columns


def _metadata_columns(metadata: Any) -> Iterator[tuple[str, Any]]:
    if metadata is None:
        return
    if isinstance(metadata, (pa.Table, pa.RecordBatch)):
        yield from zip(metadata.schema.names, metadata.columns, strict=True)
    elif isinstance(metadata, Mapping):
        yield from metadata.items()
    elif isinstance(metadata, (list, tuple)):
        yield from _columns_of_dicts([{} if row is None else row for row in metadata], "metadata").items()
    elif hasattr(metadata, "__arrow_c_stream__"):
        yield from _metadata_columns(pa.table(metadata))
    else:
        raise InvalidArgumentError(f"metadata= must be a list of dicts or dict of lists, not {type(metadata).__name__}")


def _columns_of_dicts(rows: Sequence[Any], what: str) -> dict[str, list[Any]]:
    for position, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise InvalidArgumentError(f"{what} {position} is a {type(row).__name__}; a list of rows holds dicts")
    names = dict.fromkeys(chain.from_iterable(rows))
    return {name: [row.get(name) for row in rows] for name in names}


def _from_table(table: pa.Table) -> Source:
    return Source((table.schema,), list(_numbered(table.to_batches(max_chunksize=BATCH_ROWS_MAX))), len(table), False)


def _from_reader(reader: pa.RecordBatchReader, count: int | None) -> Source:
    return Source((reader.schema,), _numbered(_sliced(reader)), count, True)


def _sliced(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for start in range(0, batch.num_rows, BATCH_ROWS_MAX):
            yield batch.slice(start, BATCH_ROWS_MAX)


def _numbered(batches: Iterable[pa.RecordBatch]) -> Iterator[Piece]:
    first = 0
    for batch in batches:
        if batch.num_rows:
            yield batch, range(first, first + batch.num_rows)
        first += batch.num_rows


def _table_of_pandas(frame: Any) -> pa.Table:
    if ID_COLUMN not in frame.columns and frame.index.name == ID_COLUMN:
        frame = frame.reset_index()
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise SchemaError(f"the frame has a column that Arrow cannot hold: {'; '.join(map(str, error.args))}") from None


def _from_iterable(rows: Iterable[Any], config: CollectionConfig, partial: bool) -> Source:
    if not isinstance(rows, (list, tuple)):
        iterator = iter(rows)
        first = next(iterator, None)
        if isinstance(first, (pa.RecordBatch, pa.Table)):
            return _from_reader(_reader_of_batches(first, iterator), None)
        rows = [] if first is None else [first, *iterator]
    elif rows and all(isinstance(row, (pa.RecordBatch, pa.Table)) for row in rows):
        return _from_reader(_reader_of_batches(rows[0], iter(rows[1:])), sum(row.num_rows for row in rows))
    if not partial:
        return _from_columns(_columns_of_dicts(rows, "row"), config) if rows else Source((), [], 0, False)
    return _from_groups(rows, config)


def _reader_of_batches(first: Any, rest: Iterator[Any]) -> pa.RecordBatchReader:
    def batches() -> Iterator[pa.RecordBatch]:
        for item in chain([first], rest):
            if not isinstance(item, (pa.RecordBatch, pa.Table)) or not item.schema.equals(first.schema):
                raise SchemaError("the iterator of batches changes its schema midway; cast all batches to one schema")
            yield from [item] if isinstance(item, pa.RecordBatch) else item.to_batches()

    return pa.RecordBatchReader.from_batches(first.schema, batches())


def _from_groups(rows: Sequence[Any], config: CollectionConfig) -> Source:
    """A partial update by dicts: one batch for each set of keys, because an absent key means "leave it as it is"."""
    _columns_of_dicts(rows, "row")
    groups: dict[frozenset[str], list[int]] = {}
    for position, row in enumerate(rows):
        groups.setdefault(frozenset(row), []).append(position)
    tables = [_from_columns(_columns_of_dicts([rows[p] for p in group], "row"), config) for group in groups.values()]
    pieces = [
        (batch, [group[i] for i in local])
        for group, table in zip(groups.values(), tables, strict=True)
        for batch, local in table.pieces
    ]
    return Source(tuple(chain.from_iterable(t.schemas for t in tables)), pieces, len(rows), False, trusted=True)


def _from_columns(columns: Mapping[str, Any], config: CollectionConfig) -> Source:
    arrays = {name: _column(name, values, config) for name, values in columns.items()}
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidArgumentError(f"the columns have different lengths: {lengths}")
    trusted = not any(isinstance(values, (pa.Array, pa.ChunkedArray)) for values in columns.values())
    source = _from_table(pa.table(arrays))
    return Source(source.schemas, source.pieces, source.count, False, trusted)


def _column(name: Any, values: Any, config: CollectionConfig) -> pa.Array | pa.ChunkedArray:
    if not isinstance(name, str):
        raise InvalidArgumentError(f"column names are strings, not {name!r}")
    if name == VECTOR_COLUMN:
        return matrix_from_python(values, config)
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values
    if isinstance(values, (str, bytes)) or not hasattr(values, "__len__"):
        raise InvalidArgumentError(
            f"column {name!r} is a single {type(values).__name__}; a dict of columns holds lists (one row: [{{…}}])"
        )
    if isinstance(values, np.ndarray) and values.ndim > 1:
        values = list(values)
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        raise _mixed_types(name, list(values), error) from None


def _mixed_types(name: str, values: list[Any], error: Exception) -> SchemaError:
    """Name the first row at which the column stops being of one type."""
    low, high = 0, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            pa.array(values[:middle])
            low = middle
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
            high = middle
    before = pa.array(values[:low]).type if low else "nothing"
    shown = repr(values[low])
    return SchemaError(
        f"column {name!r} mixes types: rows before {low} are {before}, row {low} brings "
        f"{shown if len(shown) <= 60 else shown[:57] + '…'} ({type(values[low]).__name__}): {error}"
    )
