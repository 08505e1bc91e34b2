"""Evolution: do new columns only ever add, and are conflicts named with both types and the row?"""

from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest

from nearrow.errors import SchemaError
from nearrow.schema import CollectionConfig, base_schema, batches, conform, evolve

CONFIG = CollectionConfig("docs", 2, "l2")


def write(
    values: list[Any], schema: pa.Schema | None = None, ids: list[Any] | None = None
) -> tuple[pa.Schema, list[Any]]:
    rows = {"id": ids or [f"{i}" for i in range(len(values))], "vector": [[1, 2]] * len(values), "x": values}
    stream = batches(rows, config=CONFIG, schema=schema)
    return stream.schema, pa.Table.from_batches(list(stream), stream.schema)["x"].to_pylist()


@pytest.mark.parametrize(
    ("first", "second", "read"),
    [
        ([None], [3], [3]),
        ([None], ["a"], ["a"]),
        ([["a"]], [None], [None]),
        ([[]], [["a"]], [["a"]]),
        ([1], [2.0], [2]),
        ([1.5], [2], [2.0]),
        ([{"a": 1}], [{"b": "x"}], [{"a": None, "b": "x"}]),
        ([{"a": {"b": [1]}}], [{"a": {"c": 2}}, None], [{"a": {"b": None, "c": 2}}, None]),
        ([[{"a": 1}]], [[{"b": 2}, None], None, []], [[{"a": None, "b": 2}, None], None, []]),
        ([date(2020, 1, 1)], [date(2021, 1, 1)], [date(2021, 1, 1)]),
        ([True], [False], [False]),
    ],
)
def test_later_rows_fit_the_column(first: list[Any], second: list[Any], read: list[Any]) -> None:
    schema, _ = write(first)
    assert write(second, schema)[1] == read


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([1], ["a"], "'x' has type int64 .* bring string"),
        ([1], [2.0, 2.5], r"'x' has type int64 .* row 1 brings 2.5 \(double\)"),
        ([1.5], [2**53 + 1], "'x' has type double .* row 0 brings 9007199254740993"),
        ([True], [1], "bool .* int64"),
        ([["a"]], ["a"], "list.* string"),
        ([{"a": 1}], [{"a": "s"}], r"'x\.a' has type int64 .* string"),
        ([datetime(2020, 1, 1)], [datetime(2020, 1, 1, tzinfo=UTC)], "timestamp.*timestamp.*UTC"),
        ([date(2020, 1, 1)], [1], "date32.* int64"),
    ],
)
def test_conflicts_name_both_types(first: list[Any], second: list[Any], message: str) -> None:
    schema, _ = write(first)
    with pytest.raises(SchemaError, match=message):
        write(second, schema)


def test_id_type_is_fixed_by_the_first_write() -> None:
    assert base_schema(CONFIG).field("id").type == pa.null()
    schema, _ = write([1], ids=[7])
    assert schema.field("id").type == pa.int64()
    with pytest.raises(SchemaError, match="ids of this collection are int64, but the rows bring string"):
        write([1], schema)


def test_old_rows_read_null_in_new_columns() -> None:
    old = pa.record_batch({"id": ["a"], "place": pa.array([{"city": "Bonn"}])})
    wanted = evolve(old.schema, pa.schema([("year", pa.int64()), ("place", pa.struct([("zip", pa.string())]))]))
    assert conform(old, wanted).to_pylist() == [{"id": "a", "place": {"city": "Bonn", "zip": None}, "year": None}]


def test_schema_that_says_nothing_new_is_the_same_object() -> None:
    schema = pa.schema([("id", pa.string()), ("x", pa.int64())])
    assert evolve(schema, pa.schema([("x", pa.null())])) is schema


def test_columns_outside_the_list_of_types_are_refused() -> None:
    for column in (
        pa.array([b"x"]),
        pa.array([{"k": 1}]).cast(pa.struct([("k", pa.decimal128(19))])),
        pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
    ):
        with pytest.raises(SchemaError, match="cannot be kept"):
            batches(pa.table({"id": ["a"], "vector": [[1.0, 2]], "x": column}), config=CONFIG)
