"""Helpers of the segment tests: rows of every type, written and opened."""

from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa

from nearrow.segment.reader import Segment
from nearrow.segment.writer import write_segment
from nearrow.storage.directory import Directory
from nearrow.storage.memory import MemoryDirectory


def vectors_of(rows: int, dimension: int = 8, dtype: type = np.float32, seed: int = 0) -> pa.FixedSizeListArray:
    numbers = np.random.default_rng(seed).standard_normal((rows, dimension)).astype(dtype)
    return pa.FixedSizeListArray.from_arrays(pa.array(numbers.ravel()), dimension)


def simple_rows(rows: int, *, first_row: int = 0, ids: pa.Array | None = None, dimension: int = 8) -> pa.Table:
    """Row numbers with a gap after each, string ids, vectors, one text and one number."""
    return pa.table(
        {
            "_row": pa.array(first_row + 2 * np.arange(rows), pa.uint64()),
            "id": pa.array([f"id-{i}" for i in range(rows)], pa.string()) if ids is None else ids,
            "vector": vectors_of(rows, dimension),
            "text": pa.array([f"text number {i}" for i in range(rows)], pa.string()),
            "year": pa.array([None if i % 5 == 4 else 2000 + i for i in range(rows)], pa.int64()),
        }
    )


def rich_rows() -> pa.Table:
    """Six rows with every kind of metadata, nulls among them."""
    moment = datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.UTC)
    return (
        simple_rows(6)
        .append_column("flag", pa.array([True, False, None, True, True, False]))
        .append_column("score", pa.array([1.5, -2.0, None, 0.25, 1e300, 3.0]))
        .append_column("when", pa.array([moment, None, moment, moment, moment, moment], pa.timestamp("us", "UTC")))
        .append_column("day", pa.array([datetime.date(2020, 1, d) for d in range(1, 7)], pa.date32()))
        .append_column("tags", pa.array([["a", "b"], [], None, ["ü", None], ["c"], ["d"]], pa.list_(pa.string())))
        .append_column(
            "place",
            pa.array(
                [
                    {"city": "Ulm", "at": {"x": 1}},
                    None,
                    {"city": None, "at": None},
                    *[{"city": "Bonn", "at": {"x": 7}}] * 3,
                ],
                pa.struct([("city", pa.string()), ("at", pa.struct([("x", pa.int64())]))]),
            ),
        )
        .append_column("nothing", pa.nulls(6))
    )


def write_and_open(
    rows: pa.Table, *, directory: Directory | None = None, batch_rows: int | None = None, segment_id: str = "s1"
) -> Segment:
    directory = MemoryDirectory() if directory is None else directory
    entry = write_segment(directory, segment_id, rows, batch_rows=batch_rows)
    return Segment.open(directory, entry, rows.schema, metric="l2")


def assert_same_rows(segment: Segment, rows: pa.Table) -> None:
    assert segment.rows == len(rows)
    stored = segment.table.select(rows.column_names)
    assert stored.equals(rows.cast(stored.schema))
    assert segment.row_numbers.tolist() == rows["_row"].to_pylist()
    assert segment.find(rows["id"]).tolist() == list(range(len(rows)))
    assert segment.locate(segment.row_numbers).tolist() == list(range(len(rows)))
