"""Remembered filters: is what was kept from an earlier search right for this one, whatever happened in between?"""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nearrow
from nearrow.analytics.sql_filter import SqlFilterEngine
from nearrow.collection import Collection
from nearrow.errors import FilterError
from nearrow.query.estimate import estimated_share
from nearrow.query.filter import parse_filter
from nearrow.query.parsed import ParsedFilters
from nearrow.segment.zones import Zone

SCHEMA = pa.schema([("id", pa.string()), ("n", pa.int64()), ("x", pa.float64()), ("s", pa.string()), ("b", pa.bool_())])
SQL = SqlFilterEngine(threads=1)
VALUES: list[Any] = [
    0,
    1,
    1.0,
    True,
    False,
    None,
    "1",
    "",
    0.0,
    -0.0,
    2**53,
    float(2**53),
    np.int64(1),
    np.float64(1.0),
]


@pytest.fixture
def collection() -> Collection:
    made = nearrow.connect(":memory:").create_collection("kept", dimension=2, metric="l2")
    made.add([{"id": f"r{i}", "vector": [i, 1.0], "n": i, "s": "ab"[i % 2]} for i in range(20)])
    return made


def outcome(parse: Any, where: Any) -> Any:
    try:
        return parse(where).key
    except FilterError as error:
        return str(error)


@given(st.lists(st.tuples(st.sampled_from(["n", "x", "s", "b"]), st.sampled_from(VALUES)), max_size=12))
def test_filters_that_look_alike_are_not_confused(asked: list[tuple[str, Any]]) -> None:
    remembered = ParsedFilters(SQL)
    for field, value in asked:
        for where in ({field: value}, {field: {"$in": [value]}}, {"$not": {field: {"$ne": value}}}):
            expected = outcome(lambda one: parse_filter(one, SCHEMA, SQL), where)
            assert outcome(lambda one: remembered.parse(one, SCHEMA), where) == expected


@pytest.mark.parametrize("where", [{"n": {"$gt": 3}}, "n > 3", pc.field("n") > 3], ids=["dict", "sql", "arrow"])
def test_the_same_spelling_gives_the_same_object(where: Any) -> None:
    remembered = ParsedFilters(SQL)
    first = remembered.parse(where, SCHEMA)
    assert remembered.parse(where, SCHEMA) is first
    assert remembered.parse(where, pa.schema([pa.field("n", pa.float64())])) is not first


def test_arrays_as_operands_are_parsed_each_time() -> None:
    remembered = ParsedFilters(SQL)
    small, large = np.arange(5_000), np.arange(5_000)
    large[2_500] = -1  # prints the same
    first, second = remembered.parse({"n": {"$in": small}}, SCHEMA), remembered.parse({"n": {"$in": large}}, SCHEMA)
    assert first is not None
    assert second is not None
    assert first.key != second.key


def test_a_dict_that_was_changed_is_another_filter(collection: Collection) -> None:
    where: dict[str, Any] = {"n": {"$lt": 5}}
    assert collection.count(where) == 5
    where["n"]["$lt"] = 7
    assert collection.count(where) == 7
    assert len(collection.search([0.0, 1.0], k=20, where=where)) == 7


def test_a_write_is_seen_by_a_filter_that_was_asked_before(collection: Collection) -> None:
    for where in ({"s": "a"}, "s = 'a'", pc.field("s") == "a"):
        before = collection.count(where)
        collection.add([{"id": f"new{before}", "vector": [0.0, 1.0], "n": 0, "s": "a"}])
        assert collection.count(where) == before + 1
        assert len(collection.search([0.0, 1.0], k=50, where=where)) == before + 1
        collection.delete([f"new{before}"])
        assert collection.count(where) == before
        collection.flush()
        assert collection.count(where) == before
        assert len(collection.search([0.0, 1.0], k=50, where=where)) == before


def test_a_new_column_is_known_to_a_filter_that_failed_before(collection: Collection) -> None:
    with pytest.raises(FilterError, match="later"):
        collection.count({"later": 1})
    collection.flush()
    collection.add([{"id": "with", "vector": [0.0, 1.0], "later": 1}])
    assert collection.count({"later": 1}) == 1
    assert collection.count({"later": None}) == 20
    assert collection.count("later IS NULL") == 20


def test_a_view_that_nobody_uses_goes_away(collection: Collection) -> None:
    assert collection.count({"s": "a"}) == 10
    old = weakref.ref(collection._view())
    collection.delete(["r0"])
    collection.flush()
    gc.collect()
    assert old() is None
    assert collection.count({"s": "a"}) == 9


def test_estimates_follow_the_zone_maps() -> None:
    zones = {"n": Zone(0, 99, 0), "x": Zone(0.0, 1.0, 50), "s": Zone("a", "z", 0)}
    share = lambda where: estimated_share(parse_filter(where, SCHEMA, SQL), zones.get, 100)  # noqa: E731
    assert share({}) == 1.0
    assert share({"n": {"$lt": 25}}) == pytest.approx(0.25, abs=0.01)
    assert share({"n": {"$gte": 25}}) == pytest.approx(0.75, abs=0.01)
    assert share({"n": {"$gt": 500}}) == 0.0
    assert share({"n": 7}) == pytest.approx(0.01)
    assert share({"x": {"$lt": 0.5}}) == pytest.approx(0.25)
    assert share({"n": {"$in": [1, 2, 3]}}) == pytest.approx(0.03)
    assert share({"n": {"$lt": 25}, "x": {"$lt": 0.5}}) == pytest.approx(0.0625, abs=0.005)
    assert share({"$or": [{"n": {"$lt": 25}}, {"n": {"$gte": 25}}]}) > 0.75
    for where in ({"s": "b"}, {"s": {"$like": "a%"}}, {"b": True}, {"id": {"$exists": True}}, {"$not": {"s": "b"}}):
        assert 0.0 < share(where) < 1.0


def test_bitmaps_of_merged_segments_are_let_go() -> None:
    collection = nearrow.connect(":memory:").create_collection("merged", dimension=4, metric="l2")
    for batch in range(3):
        ids = list(range(2_000 * batch, 2_000 * batch + 2_000))
        collection.add(ids=ids, vectors=np.ones((2_000, 4), np.float32), metadata=[{"n": i % 7} for i in ids])
        collection.flush()
    collection.wait()  # from here on nothing merges by itself
    cache, parts = collection._filters.cache, len(collection._view().parts)
    assert collection.count({"n": 3}) == 857
    collection.facets(["n"], where={"n": 3})
    assert cache.stats().entries == collection._filters.facet_values.stats().entries == parts
    collection.delete(ids=[0])  # so that even a single segment is written anew
    collection.compact()
    assert collection.count({"n": 3}) == 857
    assert (cache.stats().entries, collection._filters.facet_values.stats().entries) == (1, 0)
