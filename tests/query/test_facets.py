"""Facets: are values, ranges and extremes counted over just the rows that match, over all parts?"""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from filter_reference import SCHEMA, rows, table_of, value_at
from hypothesis import given
from hypothesis import strategies as st

from nearrow.errors import FilterError, InvalidArgumentError
from nearrow.query.facets import FacetCache, count_facets
from nearrow.query.filter import bits, evaluate, parse_filter

TABLE = pa.table(
    {
        "id": ["a", "b", "c", "d", "e"],
        "year": [1999, 2020, None, 2021, 2020],
        "section": ["libs", "Libs", None, "doc", "LIBS"],
        "tags": [["x", "y", "x"], [], None, ["y", None], ["z"]],
        "place": [{"city": "Bonn"}, {"city": None}, None, {"city": "Ulm"}, {"city": "Bonn"}],
        "day": pa.array([date(2020, 1, 1), None, date(2021, 5, 5), date(2022, 1, 1), None]),
        "price": [1.0, 2.0, float("nan"), None, 6.0],
    }
)


def count(request: Any, where: Any = None, cuts: int = 1, cache: FacetCache | None = None) -> Any:
    size = -(-len(TABLE) // cuts)
    parts = []
    for at in range(0, len(TABLE), size):
        piece = TABLE.slice(at, size)
        wanted = None if where is None else evaluate(parse_filter(where, TABLE.schema), piece)
        parts.append((piece, wanted, at))
    (result,) = count_facets([request], parts, TABLE.schema, cache).values()
    return result


@pytest.mark.parametrize("cuts", [1, 2, 5])
def test_values_ranges_and_extremes(cuts: int) -> None:
    assert list(count("year", cuts=cuts).items()) == [(2020, 2), (1999, 1), (2021, 1)]
    assert count("tags", cuts=cuts) == {"y": 2, "x": 1, "z": 1}, "a row counts once for an element that it has twice"
    assert count("place.city", cuts=cuts) == {"Bonn": 2, "Ulm": 1}
    assert count({"field": "section", "case_insensitive": True}, cuts=cuts) == {"LIBS": 3, "doc": 1}
    assert count({"field": "year", "limit": 1}, cuts=cuts) == {2020: 2}
    ranges = {"field": "year", "ranges": [(None, 2000), {"from": 2020, "to": 2021, "label": "now"}, (2021, None)]}
    assert count(ranges, cuts=cuts) == {"*..2000": 1, "now": 2, "2021..*": 1}
    assert count({"field": "day", "ranges": [("2020-01-01", "2021-05-06")]}, cuts=cuts) == {"2020-01-01..2021-05-06": 2}
    assert count({"field": "price", "stats": True}, cuts=cuts) == {"min": 1.0, "max": 6.0, "avg": 3.0, "count": 3}
    extremes = {"min": date(2020, 1, 1), "max": date(2022, 1, 1), "avg": None, "count": 3}
    assert count({"field": "day", "stats": True}, cuts=cuts) == extremes


@pytest.mark.parametrize("cuts", [1, 2, 5])
def test_only_rows_that_match_are_counted(cuts: int) -> None:
    cache = FacetCache(1 << 20)
    for _ in range(2):  # the second time from the cache
        assert count("section", {"year": 2020}, cuts, cache) == {"LIBS": 1, "Libs": 1}
        assert count("tags", {"year": {"$gt": 2000}}, cuts, cache) == {"y": 1, "z": 1}
    assert cache.stats().hits > 0
    assert count({"field": "price", "stats": True}, {"year": 2021}, cuts) == {
        "min": None,
        "max": None,
        "avg": None,
        "count": 0,
    }


@pytest.mark.parametrize(
    ("request_", "error", "message"),
    [
        ("sektion", FilterError, "did you mean 'section'"),
        ("place", FilterError, "place.city"),
        ({"field": "year", "limmit": 1}, InvalidArgumentError, "'limmit'; did you mean 'limit'"),
        ({"field": "year", "limit": 0}, InvalidArgumentError, "limit"),
        ({"field": "year", "ranges": [5]}, InvalidArgumentError, "range"),
        ({"field": "year", "ranges": [("a", "b")]}, FilterError, "'year' is int64"),
        (5, InvalidArgumentError, "facet"),
    ],
)
def test_mistakes_are_named(request_: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        count(request_)


@given(
    rows(),
    st.sampled_from(["s", "n", "b", "t", "p.q.s", "tags", "nums", "late"]),
    st.integers(1, 7),
    st.integers(0, 2**20),
)
def test_counts_equal_pythons(data: list[dict[str, Any]], path: str, chunk_rows: int, seed: int) -> None:
    table = table_of(data, chunk_rows)
    flags = np.random.default_rng(seed).random(len(data)) < 0.6
    expected: Counter[Any] = Counter()
    for row, kept in zip(data, flags, strict=True):
        value = value_at(row, path) if kept else None
        expected.update({one for one in (value if isinstance(value, list) else [value]) if one is not None})
    counted = count_facets([path], [(table, bits.pack(flags), "part")], SCHEMA, FacetCache(1 << 20))[path]
    assert counted == dict(expected)
