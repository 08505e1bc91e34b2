"""Rows: do all spellings of rows become the same batches, and is every bad one refused with its row?"""

import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from nearrow.errors import DimensionMismatchError, InvalidArgumentError, NearrowError, SchemaError
from nearrow.schema import CollectionConfig, batches, duplicate_positions, last_of_each

CONFIG = CollectionConfig("docs", 3, "cosine", text_fields=("text",))
VECTORS = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9.5]], dtype=np.float32)
DICTS = [
    {"id": "a", "vector": [1, 2, 3], "text": "x", "year": 1999, "tags": ["p", "q"], "place": {"city": "Bonn"}},
    {"id": "b", "vector": [4, 5, 6], "year": None, "tags": []},
    {"id": "c", "vector": [7, 8, 9.5], "text": None, "year": 2020, "place": {"city": None}},
]


def table_of(rows: Any, **more: Any) -> pa.Table:
    stream = batches(rows, **({"config": CONFIG} | more))
    return pa.Table.from_batches(list(stream), stream.schema)


CANONICAL = table_of(DICTS)


def as_dataset() -> ds.Dataset:
    return ds.dataset(CANONICAL)


SPELLINGS: dict[str, Callable[[], Any]] = {
    "table": lambda: CANONICAL,
    "two chunks": lambda: pa.concat_tables([CANONICAL.slice(0, 1), CANONICAL.slice(1)]),
    "batch": lambda: CANONICAL.to_batches()[0],
    "reader": CANONICAL.to_reader,
    "dataset": as_dataset,
    "iterator of batches": lambda: iter(CANONICAL.to_batches(max_chunksize=2)),
    "list of dicts": lambda: DICTS,
    "generator of dicts": lambda: (row for row in DICTS),
    "dict of columns": lambda: CANONICAL.drop_columns(["vector"]).to_pydict() | {"vector": VECTORS},
    "polars": lambda: pl.from_arrow(CANONICAL),
    "polars lazy": lambda: pl.from_arrow(CANONICAL).lazy(),  # type: ignore[union-attr]
    "pandas": CANONICAL.to_pandas,
    "pandas with id as index": lambda: CANONICAL.to_pandas().set_index("id"),
    "large types": lambda: CANONICAL.cast(
        pa.schema(
            [("id", pa.large_string()), ("vector", pa.large_list(pa.float64())), ("text", pa.large_string()),
             ("year", pa.int16()), ("tags", pa.large_list(pa.large_string())),
             ("place", pa.struct([("city", pa.large_string())]))]
        )
    ),
    "dictionary": lambda: CANONICAL.set_column(0, "id", CANONICAL["id"].dictionary_encode()).set_column(
        2, "text", CANONICAL["text"].dictionary_encode()
    ),
    "sliced": lambda: pa.concat_tables([CANONICAL, CANONICAL]).combine_chunks().slice(3),
}  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_gives_the_same_rows(spelling: str) -> None:
    table = table_of(SPELLINGS[spelling]())
    assert sorted(table.column_names) == sorted(CANONICAL.column_names)
    assert table.select(CANONICAL.column_names).to_pylist() == CANONICAL.to_pylist()
    assert table.schema.field("vector").type == pa.list_(pa.float32(), 3)


def test_keywords_give_the_same_rows() -> None:
    metadata = [{k: v for k, v in row.items() if k not in ("id", "vector", "text")} for row in DICTS]
    table = table_of(None, ids=["a", "b", "c"], vectors=VECTORS, texts=["x", None, None], metadata=metadata)
    assert table.to_pylist() == CANONICAL.to_pylist()


def test_canonical_vectors_are_not_copied() -> None:
    (batch,) = batches(CANONICAL, config=CONFIG)
    before, after = (
        column.flatten().buffers()[1].address for column in (CANONICAL["vector"].chunk(0), batch["vector"])
    )
    assert before == after


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", ">f8"])
def test_vectors_of_any_width_are_cast(dtype: str) -> None:
    table = table_of({"id": [1, 2, 3], "vector": VECTORS.astype(dtype)})
    assert table["vector"].to_pylist() == VECTORS.astype(dtype).astype("float32").tolist()
    assert table["id"].type == pa.int64()


def bad_vectors(row: int, value: float) -> Any:
    vectors = VECTORS.astype(np.float64)
    vectors[row, 1] = value
    return vectors


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"vector": bad_vectors(1, np.nan)}, InvalidArgumentError, r"row 1 \(id 'b'\).*nan"),
        ({"vector": bad_vectors(2, -np.inf)}, InvalidArgumentError, r"row 2 \(id 'c'\).*-inf"),
        ({"vector": bad_vectors(0, 1e200)}, InvalidArgumentError, r"row 0 .*does not fit float32"),
        ({"vector": bad_vectors(0, 1e30)}, InvalidArgumentError, r"row 0 .*overflow"),
        ({"vector": VECTORS * [[1], [0], [1]]}, InvalidArgumentError, r"row 1 \(id 'b'\).*zero"),
        ({"vector": VECTORS[:, :2]}, DimensionMismatchError, "have 2 dimensions; collection 'docs' has 3"),
        ({"vector": [[1, 2, 3], [1, 2], [1, 2, 3]]}, DimensionMismatchError, "row 1: the vector has 2 dimensions"),
        ({"vector": [[1, 2, 3], None, [1, 2, 3]]}, InvalidArgumentError, "row 1: the vector is missing"),
        ({"vector": pa.array([[1.0, 2, 3], None, [1, 2, 3]])}, InvalidArgumentError, r"row 1 \(id 'b'\).*null"),
        ({"vector": pa.array([[1.0, 2, 3], [1], [1, 2, 3]])}, DimensionMismatchError, r"row 1 \(id 'b'\)"),
        ({"vector": pa.array([[1.0, 2, None]] * 3)}, InvalidArgumentError, "row 0 .*null element"),
        ({"vector": [["a", "b", "c"]] * 3}, SchemaError, "vector"),
        ({"vector": pa.array(["a", "b", "c"])}, SchemaError, "vector"),
        ({"vector": VECTORS[0]}, DimensionMismatchError, "shape"),
        ({"id": ["a", "", "c"]}, InvalidArgumentError, "row 1: the id is empty"),
        ({"id": ["a", "b", None]}, InvalidArgumentError, "row 2: the id is null"),
        ({"id": ["a", "b", "é" * 257]}, InvalidArgumentError, "row 2: .*514 bytes"),
        ({"id": ["a", 1, "c"]}, SchemaError, "'id'.*row 1"),
        ({"id": [1.5, 2.5, 3.5]}, SchemaError, "'id'"),
        ({"id": [True, False, True]}, SchemaError, "'id'"),
        ({"id": ["a", "b"]}, InvalidArgumentError, "different lengths"),
        ({"_row": [1, 2, 3]}, InvalidArgumentError, "'_row'.*reserved"),
        ({"$or": [1, 2, 3]}, InvalidArgumentError, "operators"),
        ({"text": [1, 2, 3]}, SchemaError, "text field 'text'"),
        ({"year": [1, "two", 3]}, SchemaError, "'year' mixes types.*row 1"),
        ({"blob": [b"1", b"2", b"3"]}, SchemaError, "'blob' has type binary"),
        ({"big": np.array([2**63], dtype=np.uint64).repeat(3)}, SchemaError, "'big'.*9223372036854775808"),
    ],
)  # fmt: skip
def test_bad_rows_are_refused_with_their_place(
    columns: dict[str, Any], error: type[NearrowError], message: str
) -> None:
    with pytest.raises(error, match=message):
        batches({"id": ["a", "b", "c"], "vector": VECTORS} | columns, config=CONFIG)


@pytest.mark.parametrize("rows", ["text", 7, [1, 2], {"id": "a"}, [{"vector": [1, 2, 3]}], np.zeros((2, 3))])
def test_what_is_no_rows_is_refused(rows: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        batches(rows, config=CONFIG)


def test_malformed_arrow_is_refused() -> None:
    broken = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, 2], "i4")), pa.py_buffer(b"\xff\xff")]
    )
    table = pa.table({"id": ["a"], "vector": pa.array([[1.0, 2, 3]]), "text": broken})
    with pytest.raises(InvalidArgumentError, match="malformed"):
        batches(table, config=CONFIG)


def test_zero_vectors_are_fine_where_they_have_distances() -> None:
    config = CollectionConfig("docs", 3, "l2")
    assert table_of({"id": ["a"], "vector": np.zeros((1, 3))}, config=config).num_rows == 1


def test_reader_is_drawn_batch_by_batch() -> None:
    drawn = []

    def source() -> Iterator[pa.RecordBatch]:
        for number in range(3):
            drawn.append(number)
            yield pa.record_batch({"id": [number], "vector": pa.array(VECTORS[:1].tolist())})

    first = next(source()).schema
    drawn.clear()
    stream = batches(pa.RecordBatchReader.from_batches(first, source()), config=CONFIG)
    assert stream.streamed
    next(iter(stream))
    assert drawn == [0]


def test_update_by_dicts_leaves_absent_keys_alone() -> None:
    rows = [{"id": "a", "year": 1}, {"id": "b", "text": "t"}, {"id": "c", "year": 2.0}]
    parts = [batch.to_pylist() for batch in batches(rows, config=CONFIG, schema=CANONICAL.schema, partial=True)]
    assert parts == [[{"id": "a", "year": 1}, {"id": "c", "year": 2}], [{"id": "b", "text": "t"}]]


def test_error_in_a_grouped_update_names_the_callers_row() -> None:
    rows = [{"id": "a", "year": 1}, {"id": "b", "text": "t"}, {"id": "c", "year": 2.5}]
    with pytest.raises(SchemaError, match=r"row 2 brings 2\.5"):
        batches(rows, config=CONFIG, schema=CANONICAL.schema, partial=True)


def test_no_rows_are_no_batches() -> None:
    for rows in ([], CANONICAL.slice(0, 0), CANONICAL.schema.empty_table().to_reader()):
        assert list(batches(rows, config=CONFIG)) == []


def test_repeated_ids_are_found() -> None:
    ids = pa.array(["a", "b", "a", "c", "b", "a"])
    assert duplicate_positions(ids).tolist() == [2, 4, 5]
    assert last_of_each(ids).tolist() == [3, 4, 5]
    assert duplicate_positions(pa.chunked_array([[1, 2], [3]])).tolist() == []
    assert last_of_each(pa.array([], pa.int64())).tolist() == []


def test_rows_come_in_while_another_thread_imports_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", types.ModuleType("pandas"))  # as it is when its import has just begun
    rows = batches([{"id": "a", "vector": [1.0, 2.0]}], config=CollectionConfig("docs", 2))
    assert [batch.num_rows for batch in rows] == [1]
