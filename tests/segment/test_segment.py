"""Segments: do rows come back as they were written, mapped and found?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from segment_rows import assert_same_rows, rich_rows, simple_rows, vectors_of, write_and_open

from nearrow.errors import AlreadyExistsError, CorruptionError, InvalidArgumentError, SchemaError
from nearrow.segment.reader import Segment
from nearrow.segment.rows import FEW_ROWS
from nearrow.segment.writer import write_segment
from nearrow.storage.local import LocalDirectory
from nearrow.storage.memory import MemoryDirectory
from nearrow.storage.published import digest


def with_column(rows: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(name), name, column)


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 64, 100])
@pytest.mark.parametrize("batch_rows", [None, 8])
def test_rows_come_back_whatever_their_number(rows: int, batch_rows: int | None) -> None:
    table = simple_rows(rows)
    assert_same_rows(write_and_open(table, batch_rows=batch_rows), table)


def test_every_kind_of_metadata_comes_back() -> None:
    assert_same_rows(write_and_open(rich_rows()), rich_rows())
    assert_same_rows(write_and_open(rich_rows(), batch_rows=2), rich_rows())


def test_half_precision_vectors_stay_half() -> None:
    rows = with_column(simple_rows(20), "vector", vectors_of(20, dtype=np.float16))
    segment = write_and_open(rows, batch_rows=8)
    assert_same_rows(segment, rows)
    assert segment.vectors.dtype == np.float16


def test_int64_ids_are_found() -> None:
    ids = pa.array([-(2**63), -1, 0, 1, 2**63 - 1], pa.int64())
    segment = write_and_open(simple_rows(5, ids=ids))
    assert segment.find(ids).tolist() == [0, 1, 2, 3, 4]
    assert segment.find_one(-1) == 1
    assert segment.find_one("-1") == -1
    assert segment.ids_at(np.array([4, 0])).tolist() == [2**63 - 1, -(2**63)]


def test_unicode_and_512_byte_ids_are_found() -> None:
    names = ["ä", "日本語", "🦉" * 128, "a" * 512, "a\0b", "caf\u00e9", "cafe\u0301", " "]
    segment = write_and_open(simple_rows(len(names), ids=pa.array(names)))
    assert segment.find(names).tolist() == list(range(len(names)))
    assert segment.ids_at(np.arange(len(names))).tolist() == names


def test_slices_and_odd_batches_are_recut_to_equal_ones() -> None:
    table = pa.concat_tables([simple_rows(40).slice(a, n) for a, n in [(0, 3), (3, 0), (3, 21), (24, 16)]])
    segment = write_and_open(table, batch_rows=8)
    assert [batch.num_rows for batch in segment.batches] == [8] * 5
    assert_same_rows(segment, simple_rows(40))


def test_batches_stream_in_from_a_generator_and_columns_in_any_order() -> None:
    table = simple_rows(30)
    shuffled = table.select(["year", "vector", "id", "text", "_row"])
    directory = MemoryDirectory()
    entry = write_segment(directory, "s", (batch for batch in shuffled.to_batches(max_chunksize=7)), batch_rows=16)
    assert_same_rows(Segment.open(directory, entry, table.schema, metric="l2"), table)


def test_no_batches_need_a_schema() -> None:
    directory = MemoryDirectory()
    with pytest.raises(InvalidArgumentError, match="schema"):
        write_segment(directory, "a", iter([]))
    entry = write_segment(directory, "b", iter([]), schema=simple_rows(0).schema)
    assert len(Segment.open(directory, entry, simple_rows(0).schema, metric="l2")) == 0


def test_the_file_is_plain_arrow_with_aligned_vectors(tmp_path: Path) -> None:
    directory = LocalDirectory(tmp_path)
    table = simple_rows(100, dimension=5)
    entry = write_segment(directory, "s", table, batch_rows=16)
    path = tmp_path / entry.path("rows.arrow")
    with pa.memory_map(str(path)) as source:
        start = source.read_buffer().address
        source.seek(0)
        file = pa.ipc.open_file(source)
        assert file.read_all().select(table.column_names).equals(table)
        vectors = [file.get_batch(i).column("vector").flatten().buffers()[1] for i in range(7)]
        assert [(buffer.address - start) % 64 for buffer in vectors] == [0] * 7
    for name, file_entry in entry.files.items():
        data = (tmp_path / entry.path(name)).read_bytes()
        assert (len(data), digest(data)) == (file_entry.length, file_entry.digest)


def test_wide_rows_get_smaller_batches() -> None:
    directory = MemoryDirectory()
    text = pa.array(["x" * 40_000] * 100)
    rows = with_column(simple_rows(100), "text", text)
    segment = Segment.open(directory, write_segment(directory, "s", rows), rows.schema, metric="l2")
    stored = pa.ipc.open_file(directory.map("segments/s/rows.arrow")).schema.metadata[b"nearrow.batch_rows"]
    assert int(stored) == 4096
    assert len(segment.batches) == 1


def test_row_numbers_are_located_across_batches() -> None:
    segment = write_and_open(simple_rows(50, first_row=1000), batch_rows=8)
    wanted = np.array([1000, 1001, 1098, 1100, 0, 2**64 - 1, 1016, 1015], np.uint64)
    assert segment.locate(wanted).tolist() == [0, -1, 49, -1, -1, -1, 8, -1]
    assert segment.row_numbers_at(np.array([49, 0, 8])).tolist() == [1098, 1000, 1016]
    assert segment.locate(np.empty(0, np.uint64)).tolist() == []
    assert write_and_open(simple_rows(0)).locate(np.array([0], np.uint64)).tolist() == [-1]


def test_a_few_rows_are_taken_in_the_order_asked() -> None:
    segment = write_and_open(simple_rows(50), batch_rows=8)
    taken = segment.take(np.array([40, 3, 3, 17]), ["id", "missing", "year"])
    assert taken.to_pydict() == {"id": ["id-40", "id-3", "id-3", "id-17"], "year": [2040, 2003, 2003, 2017]}


def test_few_rows_and_many_are_taken_alike() -> None:
    segment = write_and_open(rich_rows(), batch_rows=2)
    names = [name for name in segment.schema.names if name != "_row"]
    order = np.arange(len(segment.table))[::-1].repeat(1 + FEW_ROWS)
    many = [repr(row) for row in segment.take(order, names).to_pylist()]
    for at in range(0, len(order), 1 + FEW_ROWS):
        few = segment.take(order[at : at + 2], names).to_pylist()
        assert [repr(row) for row in few] == many[at : at + 2]


def test_a_segment_may_lack_columns_and_struct_fields_that_came_later() -> None:
    rows = rich_rows()
    directory = MemoryDirectory()
    entry = write_segment(directory, "s", rows)
    place = pa.struct([("city", pa.string()), ("at", pa.struct([("x", pa.int64()), ("y", pa.int64())]))])
    later = pa.schema(
        [
            pa.field(f.name, place if f.name == "place" else pa.bool_() if f.name == "nothing" else f.type)
            for f in rows.schema
        ]
    ).append(pa.field("new", pa.string()))
    segment = Segment.open(directory, entry, later, metric="l2")
    assert segment.zone_map("new") == (None, None, 6)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda t: with_column(t, "id", pa.array(["a", "b", "a"])), AlreadyExistsError),
        (lambda t: with_column(t, "id", pa.array(["a", None, "b"])), SchemaError),
        (lambda t: with_column(t, "id", pa.array([1.0, 2.0, 3.0])), SchemaError),
        (lambda t: with_column(t, "_row", pa.array([1, 1, 2], pa.uint64())), InvalidArgumentError),
        (lambda t: with_column(t, "_row", pa.array([3, 2, 5], pa.uint64())), InvalidArgumentError),
        (lambda t: with_column(t, "_row", pa.array([1, 2, 3], pa.int64())), SchemaError),
        (lambda t: with_column(t, "vector", pa.array([[1.0], None, [2.0]], pa.list_(pa.float32(), 1))), SchemaError),
        (lambda t: with_column(t, "vector", pa.array([[1.0], [None], [2.0]], pa.list_(pa.float32(), 1))), SchemaError),
        (lambda t: with_column(t, "vector", pa.array([[1.0], [1.0], [2.0]], pa.list_(pa.float32()))), SchemaError),
        (lambda t: t.drop_columns(["id"]), SchemaError),
        (lambda t: t.append_column("id", t["id"]), SchemaError),
        (lambda t: with_column(t, "text", pa.array(["a", "b", "a"]).dictionary_encode()), SchemaError),
    ],
)
def test_rows_that_break_the_rules_are_refused(change: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        write_segment(MemoryDirectory(), "s", change(simple_rows(3)))  # type: ignore[operator]


def test_rows_must_ascend_across_batches_too() -> None:
    table = pa.concat_tables([simple_rows(8, first_row=100), simple_rows(8, ids=pa.array([f"b{i}" for i in range(8)]))])
    with pytest.raises(InvalidArgumentError, match="ascending"):
        write_segment(MemoryDirectory(), "s", table, batch_rows=8)


@pytest.mark.parametrize("batch_rows", [0, -8, 3, 100])
def test_batch_rows_must_be_a_power_of_two(batch_rows: int) -> None:
    with pytest.raises(InvalidArgumentError, match="power of two"):
        write_segment(MemoryDirectory(), "s", simple_rows(3), batch_rows=batch_rows)


def test_a_segment_of_another_schema_is_refused() -> None:
    directory = MemoryDirectory()
    rows = simple_rows(5)
    entry = write_segment(directory, "s", rows)
    other = rows.schema.set(rows.schema.get_field_index("year"), pa.field("year", pa.string()))
    with pytest.raises(CorruptionError, match="year"):
        Segment.open(directory, entry, other, metric="l2")
    with pytest.raises(CorruptionError, match="text"):
        Segment.open(directory, entry, pa.schema([f for f in rows.schema if f.name != "text"]), metric="l2")


def test_real_rows_come_back(tmp_path: Path, wordnet_small: pa.Table) -> None:
    rows = wordnet_small.add_column(0, "_row", pa.array(range(len(wordnet_small)), pa.uint64()))
    segment = write_and_open(rows, directory=LocalDirectory(tmp_path), batch_rows=512)
    assert_same_rows(segment, rows)
    assert segment.verify() == []
