"""Few: which small batches become Arrow without detours?

Those of the usual upsert: ids, vectors and plain values of columns that the collection has. Nothing is refused here:
what is not plainly right is left to `rows`, which says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from nearrow.schema.config import ID_COLUMN, VECTOR_COLUMN, CollectionConfig
from nearrow.schema.identity import ID_BYTES_MAX
from nearrow.schema.vectors import squared_norms

FEW_ROWS = 128
_ID_CHARACTERS_MAX = ID_BYTES_MAX // 4  # a character takes up to four bytes in UTF-8
_PLAIN = {pa.string().id: str, pa.int64().id: int, pa.float64().id: float, pa.bool_().id: bool}
"""Columns whose values, if all are of this very Python type (or None), need no further look."""


def few_rows(
    ids: Any, vectors: Any, texts: Any, metadata: Any, config: CollectionConfig, schema: pa.Schema
) -> pa.RecordBatch | None:
    """The keywords as one canonical batch of `schema`; None if they need the long way."""
    if type(ids) is not list or not 0 < len(ids) <= FEW_ROWS or vectors is None:
        return None
    columns = _columns(ids, texts, metadata, config)
    if columns is None:
        return None
    arrays = []
    try:
        for name, kind in zip(schema.names, schema.types, strict=True):
            values = columns.pop(name, None)
            if name == VECTOR_COLUMN:
                array = _vectors(vectors, len(ids), kind, config)
            elif values is None:
                array = pa.nulls(len(ids), kind)
            else:
                array = _plain(values, len(ids), kind)
            if array is None:
                return None
            arrays.append(array)
    except (ValueError, TypeError, OverflowError, pa.ArrowException):
        return None
    return None if columns else pa.RecordBatch.from_arrays(arrays, schema=schema)


def _columns(ids: list[Any], texts: Any, metadata: Any, config: CollectionConfig) -> dict[str, Any] | None:
    if not all(type(given) is int or (type(given) is str and 0 < len(given) <= _ID_CHARACTERS_MAX) for given in ids):
        return None
    columns: dict[str, Any] = {ID_COLUMN: ids}
    if texts is not None:
        if type(texts) is not list or not config.text_fields:
            return None
        columns[config.text_fields[0]] = texts
    if metadata is None:
        return columns
    if type(metadata) is list:
        if len(metadata) != len(ids) or not all(type(row) is dict for row in metadata):
            return None
        metadata = {name: [row.get(name) for row in metadata] for row in metadata for name in row}
    if not isinstance(metadata, Mapping) or VECTOR_COLUMN in metadata or not columns.keys().isdisjoint(metadata):
        return None
    columns.update(metadata)
    return columns


def _plain(values: Any, rows: int, kind: pa.DataType) -> pa.Array | None:
    python = _PLAIN.get(kind.id)
    if python is None or type(values) is not list or len(values) != rows:
        return None
    if not all(type(value) is python or value is None for value in values):
        return None
    return pa.array(values, kind)


def _vectors(vectors: Any, rows: int, kind: pa.DataType, config: CollectionConfig) -> pa.Array | None:
    matrix = np.asarray(vectors)
    if matrix.dtype.kind != "f" or matrix.shape != (rows, config.dimension):
        return None
    if matrix.dtype != config.dtype:
        with np.errstate(over="ignore"):  # what overflows becomes infinite, which the norm tells
            matrix = matrix.astype(config.dtype)
    matrix = np.ascontiguousarray(matrix)
    norms = squared_norms(matrix)
    least, most = (norms.item(),) * 2 if rows == 1 else (norms.min(), norms.max())
    if not most < np.inf or not least >= 0 or (config.metric == "cosine" and least == 0):
        return None
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), type=kind)
