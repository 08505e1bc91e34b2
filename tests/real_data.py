"""Real data: where do the tests' real rows lie, and how are they read?"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

PROJECT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("NEARROW_DATA", PROJECT.parent / "shared" / "data"))


def data_file(name: str) -> Path:
    """A file below the data folder; the test is skipped if it is missing."""
    path = DATA / name
    if not path.exists():
        pytest.skip(
            f"{path} is missing; set NEARROW_DATA to the folder that holds wordnet/, fashion-mnist/ and cranfield/"
        )
    return path


def float32_matrix(table: pa.Table, column: str = "vector") -> np.ndarray:
    """The vectors of `table` as float32 [rows, dimensions], C-contiguous."""
    flat = table[column].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(flat.astype(np.float32).reshape(len(table), -1))


def with_float32_vectors(table: pa.Table) -> pa.Table:
    """`table` with its `vector` column as FixedSizeList<float32>."""
    matrix = float32_matrix(table)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1])
    return table.set_column(table.schema.get_field_index("vector"), "vector", vectors)


def first_rows(path: Path, count: int) -> pa.Table:
    """The first `count` rows of a Parquet file, without reading the rest."""
    with pq.ParquetFile(path) as file:
        return pa.Table.from_batches([next(file.iter_batches(batch_size=count))])
