"""Searching: how is one message of query vectors answered?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from nearrow.errors import InvalidArgumentError
from nearrow.hits import Hits
from nearrow.server.backend import Backend
from nearrow.server.wire.hits import encode_hits


def search(backend: Backend, name: object, vector: Any, settings: Mapping[str, Any]) -> tuple[pa.RecordBatch, bytes]:
    """The answer to a question as batch and metadata; see `wire.hits`."""
    queries = len(vector) if isinstance(vector, np.ndarray) and vector.ndim == 2 else 1
    backend.limits.check_question(queries, settings)
    with backend.timed("search", {"collection": name, "queries": queries, **settings}):
        found = backend.collection(name).search(vector, **settings)
        hits: Sequence[Hits] = found if isinstance(found, list) else [found]
        if not hits:
            raise InvalidArgumentError("a question has at least one query")
        if settings.get("k", 10) is None:
            backend.limits.check_hits(sum(map(len, hits)))
        return encode_hits(hits, answered_columns(hits[0], settings.get("columns")))


def answered_columns(hits: Hits, asked: Any) -> list[str]:
    """The columns that the answer has: those asked for, by default all but the vector."""
    if asked is None:
        return list(hits._table.column_names)
    return [asked] if isinstance(asked, str) else list(asked)


def query_matrix(batch: pa.RecordBatch) -> np.ndarray[Any, Any]:
    """The vectors in a batch's first column: [rows, dimension]."""
    if batch.num_columns == 0:
        raise InvalidArgumentError("a message of queries has one column, the vectors")
    column = batch.column(0)
    if column.null_count:
        raise InvalidArgumentError("a query vector is null")
    if pt.is_fixed_size_list(column.type):
        rows, size = len(column), column.type.list_size
        values = column.values.to_numpy(zero_copy_only=False)  # flatten() takes 8 µs longer
        matrix: np.ndarray[Any, Any] = values[column.offset * size :][: rows * size].reshape(rows, size)
        return matrix
    if not (pt.is_list(column.type) or pt.is_large_list(column.type)):
        raise InvalidArgumentError(f"the first column of a message of queries holds vectors, not {column.type}")
    if len(set(column.value_lengths().to_pylist())) > 1:
        raise InvalidArgumentError("the query vectors of a message have different lengths")
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
