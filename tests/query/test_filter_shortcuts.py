"""Filter short cuts: do zones, remembered bitmaps and numbered values save work, and change no answer?"""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from nearrow.analytics.sql_filter import SqlFilterEngine
from nearrow.query.filter import BitmapCache, columns_of, evaluate, parse_filter, prune
from nearrow.query.filter.numbered import ValuesCache, few_values
from nearrow.segment.zones import Zone

SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "year": pa.int64(),
        "price": pa.float64(),
        "section": pa.string(),
        "tags": pa.list_(pa.string()),
        "place": pa.struct({"city": pa.string(), "zip": pa.int64()}),
        "day": pa.date32(),
        "draft": pa.bool_(),
    }
)
SQL = SqlFilterEngine(threads=1)


def test_zone_maps_tell_none_and_all() -> None:
    zones = {"year": Zone(2000, 2010, 0), "section": Zone("b", "d", 3), "day": Zone(date(2020, 1, 1), date(2020, 2, 1), 0),
             "place.zip": Zone(5, 5, 0), "id": Zone(None, None, 4)}  # fmt: skip
    verdicts: dict[str, list[Any]] = {
        "all": [{"year": {"$gte": 2000}}, {"year": {"$ne": 1}}, {"place.zip": 5}, {"id": None}, "year <> 1"],
        "none": [{"year": 1999}, {"year": {"$in": [1, 3000]}}, {"section": {"$gt": "d"}}, {"id": "a"}, "year > 2010"],
        "some": [{"year": {"$gt": 2000}}, {"section": {"$gte": "a"}}, {"year": {"$in": [2005]}}, "year % 2 = 0"],
    }
    verdicts["all"].append({"day": {"$lt": "2021-01-01"}})
    verdicts["some"].append({"draft": True})
    for verdict, filters in verdicts.items():
        for where in filters:
            assert prune(parse_filter(where, SCHEMA, SQL), zones.get) == verdict, where


def test_key_tells_filters_apart() -> None:
    numbers = list(range(1_000))
    wheres: list[Any] = [
        {"year": {"$in": numbers}}, {"year": {"$in": [*numbers[:-1], 5_000]}}, {"year": 1}, {"price": 1},
        pc.field("year").isin(numbers), pc.field("year").isin([*numbers[:500], 7_777, *numbers[501:]]), "year % 2 = 0",
    ]  # fmt: skip
    keys = [parse_filter(where, SCHEMA, SQL).key for where in wheres]
    assert len(set(keys)) == len(wheres)
    assert keys == [parse_filter(where, SCHEMA, SQL).key for where in wheres]
    assert parse_filter({"year": {"$in": [3, 2, 2]}}, SCHEMA).key == parse_filter({"year": {"$in": [2, 3]}}, SCHEMA).key


def test_columns_that_a_filter_reads() -> None:
    def columns(where: Any) -> set[str] | None:
        return columns_of(parse_filter(where, SCHEMA, SQL).root)

    assert columns({"place.city": "x", "$or": [{"tags": {"$contains": "x"}}, {"year": 1}]}) == {"place", "tags", "year"}
    assert columns("lower(SECTION) = 'x' AND year % 2 = 0") == {"section", "year"}
    assert columns(pc.field("year") > 1) is None


def test_cache_drops_the_least_recently_used() -> None:
    cache = BitmapCache(bytes_max=3 * (256 + 100))
    for part in "abc":
        cache.put(part, "filter", np.zeros(100, dtype=np.uint8))
    assert cache.get("a", "filter") is not None
    cache.put("d", "filter", np.ones(100, dtype=np.uint8))
    assert cache.get("b", "filter") is None
    assert cache.get("a", "filter") is not None
    cache.keep_parts({"c", "d"})
    cache.put("huge", "filter", np.zeros(10_000, dtype=np.uint8))
    assert (cache.stats().entries, cache.stats().bytes) == (2, 2 * 356)
    kept = cache.get("d", "filter")
    assert kept is not None
    with pytest.raises(ValueError, match="read-only"):
        kept[0] = 0


def test_long_columns_of_few_strings_are_told_by_value() -> None:
    rows = 300_003
    words = ["", "noun", "verb", "noun.plant", "é", None]
    numbers = np.random.default_rng(3).integers(0, len(words), rows)
    lists = [None if n == 5 else [words[n], words[(n + i) % 6]][: n % 3] for i, n in enumerate(numbers.tolist())]
    table = pa.table(
        {"s": pa.array([words[n] for n in numbers.tolist()]), "tags": pa.array(lists, pa.list_(pa.string()))}
    )
    cache = ValuesCache()
    quick = partial(few_values, cache, "part", table)
    for where in (
        {"s": "noun"},
        {"s": {"$ne": "noun"}},
        {"s": {"$regex": "^n.*t$"}},
        {"tags": {"$contains": "verb"}},
        {"tags": {"$contains": "nowhere"}},
        {"tags": {"$any": ["noun", "é"]}},
        {"tags": {"$all": ["noun", "é"]}},
    ):
        parsed = parse_filter(where, table.schema)
        expected = evaluate(parsed, table).tolist()
        assert evaluate(parsed, table, None, quick).tolist() == expected, where
        told = evaluate(parsed, table, None, lambda field, _: quick(field, False))
        assert told.tolist() == expected, where
    assert cache.stats().entries == 2


def test_a_quick_condition_does_not_number_the_values_of_its_field() -> None:
    table = pa.table({"s": ["noun", "verb", None] * 10_000, "tags": [["a"], ["a", "b"], None] * 10_000})
    cache = ValuesCache()
    values = partial(few_values, cache, "part", table)
    for where, numbered in (
        ({"s": "noun"}, 0),
        ({"s": {"$nin": ["noun", "x"]}}, 0),
        ({"s": {"$startsWith": "nou"}}, 0),
        ({"tags": {"$contains": "b"}}, 0),
        ({"s": {"$in": list("abcdefghij")}}, 1),
        ({"s": {"$regex": "^n"}}, 1),
        ({"tags": {"$any": list("abcdefghij")}}, 2),
    ):
        parsed = parse_filter(where, table.schema)
        assert evaluate(parsed, table, None, values).tolist() == evaluate(parsed, table).tolist(), where
        assert cache.stats().entries == numbered, where
