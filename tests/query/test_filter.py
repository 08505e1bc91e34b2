"""Filters: does each operator mean what it says, and is every mistake named?"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from nearrow.analytics.sql_filter import SqlFilterEngine
from nearrow.errors import FilterError
from nearrow.query.filter import bits, evaluate, parse_filter

TABLE = pa.table(
    {
        "id": ["a", "b", "c", "d"],
        "year": [1999, 2020, None, 2021],
        "price": pa.array([1.5, float("nan"), None, -0.0]),
        "section": ["libs", "lib", None, "doc"],
        "tags": [["python", "c"], [], None, ["pythonic", None]],
        "place": [{"city": "Bonn", "zip": 53111}, {"city": None, "zip": 1}, None, {"city": "Ulm", "zip": None}],
        "authors": [[{"name": "x"}], [], None, [{"name": "y"}, {"name": "x"}]],
        "day": pa.array([date(2020, 1, 1), None, date(2021, 5, 5), date(2022, 1, 1)]),
        "at": pa.array([datetime(2020, 1, 1), None, datetime(2021, 5, 5, 12), datetime(2022, 1, 1)]),
        "zoned": pa.array([datetime(2020, 1, 1), None, None, datetime(2022, 1, 1)], pa.timestamp("ms", "UTC")),
        "draft": [True, False, None, True],
        "dotted.name": [1, 2, 3, 4],
    }
)
SQL = SqlFilterEngine(threads=1)


def found(where: Any, table: pa.Table = TABLE) -> str:
    kept = bits.unpack(evaluate(parse_filter(where, TABLE.schema, SQL), table, SQL), len(table))
    return "".join(table["id"].filter(pa.array(kept)).to_pylist())


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ({}, "abcd"),
        (None, "abcd"),
        ({"year": 2020}, "b"),
        ({"year": {"$gte": 2020, "$lt": 2021}}, "b"),
        ({"year": {"$gte": 2020}, "section": "doc"}, "d"),
        ({"year": {"$gt": 2019.5}}, "bd"),
        ({"year": {"$lt": 10**30}}, "abd"),
        ({"year": {"$gt": 10**30}}, ""),
        ({"price": {"$in": [0, 1.5]}}, "ad"),
        ({"price": {"$gte": 0}}, "ad"),
        ({"price": {"$ne": 1.5}}, "bcd"),
        ({"year": {"$between": [1999, 2020]}}, "ab"),
        ({"section": {"$startsWith": "lib"}}, "ab"),
        ({"section": {"$endsWith": "s"}}, "a"),
        ({"section": {"$like": "l_b"}}, "b"),
        ({"section": {"$regex": "^(lib|doc)$"}}, "bd"),
        ({"section": {"$contains": "ib"}}, "ab"),
        ({"tags": {"$contains": "python"}}, "a"),
        ({"tags": {"$any": ["c", "pythonic"]}}, "ad"),
        ({"tags": {"$any": []}}, ""),
        ({"tags": {"$all": ["c", "python"]}}, "a"),
        ({"tags": {"$all": []}}, ""),
        ({"tags": {"$any": {"$startsWith": "py"}}}, "ad"),
        ({"tags": {"$all": {"$exists": True}}}, "ab"),
        ({"place.city": "Bonn"}, "a"),
        ({"place.zip": {"$exists": False}}, "cd"),
        ({"place": {"$exists": True}}, "abd"),
        ({"authors.name": {"$contains": "x"}}, "ad"),
        ({"authors.name": {"$all": ["x", "y"]}}, "d"),
        ({"authors.name": {"$exists": True}}, "ad"),
        ({"day": {"$gt": "2020-06-01"}}, "cd"),
        ({"day": {"$lte": date(2021, 5, 5)}}, "ac"),
        ({"at": {"$gt": date(2021, 5, 5)}}, "cd"),
        ({"day": {"$gte": datetime(2021, 5, 5, 0, 0, 1)}}, "d"),
        ({"zoned": {"$gt": datetime(2020, 1, 1, tzinfo=UTC)}}, "d"),
        ({"zoned": "2020-01-01T00:00:00Z"}, "a"),
        ({"at": {"$in": ["2020-01-01", datetime(2022, 1, 1)]}}, "ad"),
        ({"draft": True}, "ad"),
        ({"dotted.name": {"$gt": 2}}, "cd"),
        ({"id": {"$in": ["a", "d", "nobody"]}}, "ad"),
        ({"$or": [{"year": 2020}, {"section": "doc"}]}, "bd"),
        ({"$nor": [{"year": 2020}, {"section": "doc"}]}, "ac"),
        ({"year": {"$not": {"$gt": 2000}}}, "ac"),
    ],
)
def test_operators(where: Any, ids: str) -> None:
    assert found(where) == ids


def test_in_compares_whole_values_not_substrings() -> None:
    assert found({"section": {"$in": ["libs and docs", "doc"]}}) == "d"
    assert found({"section": {"$in": ["lib"]}}) == "b"


def test_siblings_of_and_are_not_dropped() -> None:
    where = {"$and": [{"year": {"$gte": 1999}}, {"draft": True}], "section": "libs"}
    assert found(where) == "a"
    assert found({"section": "libs", "$or": [{"year": 2020}, {"year": 1999}], "draft": False}) == ""


def test_null_follows_mongodb_in_dicts_and_sql_in_text() -> None:
    assert found({"year": None}) == found({"year": {"$exists": False}}) == "c"
    assert found({"year": {"$ne": 2020}}) == found({"$not": {"year": 2020}}) == "acd"
    assert found({"year": {"$nin": [2020]}}) == "acd"
    assert found({"year": {"$in": [None, 1999]}}) == "ac"
    assert found("year <> 2020") == found("NOT (year = 2020)") == found("year NOT IN (2020)") == "ad"
    assert found(pc.field("year") != 2020) == found(~(pc.field("year") == 2020)) == "ad"


def test_rows_older_than_a_column_read_null_there() -> None:
    old = TABLE.select(["id"])
    assert found({"year": {"$ne": 2020}}, old) == "abcd"
    for where in ({"place.city": "Bonn"}, {"tags": {"$contains": "c"}}, "year > 0", "lower(section) = 'doc'"):
        assert found(where, old) == ""
    assert found(pc.field("year").is_null(), old) == "abcd"
    younger = TABLE.set_column(5, "place", pa.array([{"city": "Bonn"}] * 4))
    assert found({"place.zip": None}, younger) == "abcd"
    assert found("place.zip IS NULL OR place.zip % 2 = 0", younger) == "abcd"


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"yeer": 1}, "unknown field 'yeer'; did you mean 'year'"),
        ({"place.citty": 1}, "no 'citty' there; did you mean 'city'"),
        ({"year.x": 1}, "no 'x' there; year is int64"),
        ({"year": {"$gtt": 1}}, r"unknown operator '\$gtt' of field 'year'; did you mean '\$gt'"),
        ({"$xor": []}, r"unknown operator '\$xor'; did you mean '\$or'"),
        ({"$gt": 5}, r"'\$gt' needs a field"),
        ({"year": "2020"}, "field 'year' is int64, but the operand is str: '2020'"),
        ({"year": True}, "bool"),
        ({"year": {"$in": [1, "x"]}}, "'x'"),
        ({"year": {"$in": "abc"}}, "take a list"),
        ({"year": {"$gt": None}}, "needs a value"),
        ({"year": {"$between": [1]}}, r"\[low, high\]"),
        ({"year": {"$exists": 1}}, "True or False"),
        ({"year": {}}, "empty condition"),
        ({"year": float("nan")}, "NaN"),
        ({"year": {"$like": "x"}}, "is int64"),
        ({"draft": 1}, "'draft' is bool"),
        ({"draft": {"$gt": False}}, "no order"),
        ({"tags": "python"}, r"use \$contains"),
        ({"tags": {"$in": ["python"]}}, r"use \$contains"),
        ({"section": {"$any": ["x"]}}, "is for lists"),
        ({"place": "Bonn"}, "name a field inside it"),
        ({"place": {"city": "Bonn"}}, "write 'place.city'"),
        ({"section": {"$regex": "("}}, "no valid pattern"),
        ({"at": 5}, "timestamp"),
        ({"at": "yesterday"}, "ISO 8601"),
        ({"at": datetime(2020, 1, 1, tzinfo=UTC)}, "no time zone"),
        ({"$and": {}}, "non-empty list"),
        ({"$and": []}, "non-empty list"),
        ({"$not": [1]}, "a filter clause is a dict"),
        ({5: 1}, "field names are strings"),
        (7, "not int"),
        ("yeer > 1", "unknown field 'yeer'; did you mean 'year'"),
        ("year > 'x'", "cannot be evaluated"),
        ("year", "must give bool"),
        ("year >", "cannot be parsed"),
        (" ", "is empty"),
        ("year > ?", "one expression"),
        (pc.field("yeer") > 1, "unknown field 'yeer'; did you mean 'year'"),
        (pc.field("year") > "x", "cannot be evaluated"),
        (pc.field("year"), "must give bool"),
    ],
)
def test_mistakes_are_named(where: Any, message: str) -> None:
    with pytest.raises(FilterError, match=message):
        parse_filter(where, TABLE.schema, SQL)


@pytest.mark.parametrize(
    "text",
    [
        "1=1; DROP TABLE part", "1) FROM (SELECT 1", "year = 1) UNION SELECT (true", "(SELECT true)", "EXISTS (SELECT 1)",
        "year IN (SELECT 1)", "year = ANY (SELECT 1)", "read_text('/etc/passwd') = ''", "getenv('HOME') = ''",
        "current_setting('threads') = '1'", "count(*) > 1", "row_number() OVER () = 1", "random() > 0", "nextval('s') = 1",
        "* = 1", "COLUMNS(*) > 1", "true) WHERE (true", "true) LIMIT (1", "true) ORDER BY (1", "true, true",
        "repeat('x', 1000000000) = 'x'", "query('SELECT 1') = 1", "main.lower(section) = 'x'", "\0",
        "(" * 200 + "true" + ")" * 200 + " AND " + "NOT " * 300 + "true",
    ],
)  # fmt: skip
def test_sql_is_one_harmless_expression(text: str) -> None:
    with pytest.raises(FilterError):
        parse_filter(text, TABLE.schema, SQL)


def test_comment_cannot_swallow_the_bracket() -> None:
    assert found("year = 2020 -- and nothing else") == "b"


def test_sql_beyond_the_simple_is_left_to_duckdb() -> None:
    assert found("list_contains(tags, 'python') OR upper(section) = 'LIB'") == "ab"
    assert found("place.city LIKE 'B%' AND year % 2 = 1") == "a"
    assert found("YEAR = 2020") == "b"
    assert found("price > 0") == "ab", "NaN is above all numbers in DuckDB"
    assert found("length(section) > 3", TABLE.slice(0, 0)) == ""


def test_structs_inside_a_larger_buffer_are_read_at_their_place() -> None:
    assert found("place.zip = 1 OR lower(place.city) = 'ulm'", TABLE.slice(1, 3)) == "bd"


def test_limits_are_clear() -> None:
    deep: dict[str, Any] = {"year": 1}
    for _ in range(70):
        deep = {"$not": deep}
    with pytest.raises(FilterError, match="64 levels"):
        parse_filter(deep, TABLE.schema)
    with pytest.raises(FilterError, match="1000 conditions"):
        parse_filter({"$or": [{"year": i} for i in range(1001)]}, TABLE.schema)
    with pytest.raises(FilterError, match="the limit is 1000000"):
        parse_filter({"year": {"$in": range(1_000_001)}}, TABLE.schema)


@pytest.mark.parametrize("kind", ["dense ints", "spread ints", "strings", "floats"])
def test_hundred_thousand_values_in_a_list(kind: str) -> None:
    numbers = np.arange(200_000) * (1 if kind == "dense ints" else 10**12)
    values = numbers.astype(str) if kind == "strings" else numbers / 2 if kind == "floats" else numbers
    table = pa.table({"v": values})
    kept = evaluate(parse_filter({"v": {"$in": values[::2].tolist()}}, table.schema), table)
    assert bits.unpack(kept, 200_000).nonzero()[0].tolist() == list(range(0, 200_000, 2))


def test_strings_of_every_length_and_place_are_found() -> None:
    values = [
        "",
        "a",
        "noun",
        "noun.pla",
        "noun.plan",
        "noun.plant",
        "noun.plant.long",
        "noun.plant.longer.x",
        "é",
        None,
    ]
    rng = np.random.default_rng(0)
    mixed = pa.array([values[i] for i in rng.integers(0, len(values), 3_000)])
    uniform = pa.array([f"id-{i:06d}" for i in range(1_000)])
    rare = pa.array([str(i) * 3 for i in range(3_000)])
    for column in (mixed, uniform, rare, mixed.slice(3, 1_111), uniform.slice(13)):
        table = pa.table({"v": pa.chunked_array([column.slice(0, 500), column.slice(500)])})
        for value in {*column.to_pylist()[:40], "id-000999", "999999999"} - {None}:
            kept = bits.unpack(evaluate(parse_filter({"v": value}, table.schema), table), len(table))
            assert kept.tolist() == [one == value for one in column.to_pylist()]


def test_sets_of_numbers_at_the_ends_of_their_range() -> None:
    low, high = -(2**63), 2**63 - 1
    table = pa.table(
        {"n": [low, low + 1, 0, high - 1, high, None], "day": pa.array([0, 1, 2, -5, 18_000, None], pa.date32())}
    )
    for wanted in ([low, low + 1], [high - 1, high], [low, high], [0, 1]):
        kept = bits.unpack(evaluate(parse_filter({"n": {"$in": wanted}}, table.schema), table), 6)
        assert kept.tolist() == [value in wanted for value in table["n"].to_pylist()]
    days = [date.min, date.max, date(1970, 1, 3)]
    for dates in (days, days[1:], days[2:], [date(1970, 1, 1), date(1970, 1, 3)]):
        kept = bits.unpack(evaluate(parse_filter({"day": {"$in": dates}}, table.schema), table), 6)
        assert kept.tolist() == [value in dates for value in table["day"].to_pylist()]
