"""Zones: do the bounds hold for every value, and say nothing when they cannot?"""

from __future__ import annotations

import math

import pyarrow as pa
import pytest
from segment_rows import rich_rows, simple_rows, write_and_open


@pytest.mark.parametrize("batch_rows", [None, 1, 2])
def test_zones_of_every_type(batch_rows: int | None) -> None:
    rows = rich_rows()
    segment = write_and_open(rows, batch_rows=batch_rows)
    for name in ("id", "text", "year", "flag", "score", "when", "day"):
        values = [value for value in rows[name].to_pylist() if value is not None]
        assert segment.zone_map(name) == (min(values), max(values), rows[name].null_count)
    assert segment.zone_map("nothing") == (None, None, 6)
    assert segment.zone_map("place.city") == ("Bonn", "Ulm", 2)
    assert segment.zone_map("place.at.x") == (1, 7, 2)
    assert segment.zone_map("tags") is None
    assert segment.zone_map("vector") is None


def test_a_column_that_came_later_is_all_null() -> None:
    assert write_and_open(simple_rows(5)).zone_map("unheard_of") == (None, None, 5)


def test_nan_and_prose_have_no_bounds() -> None:
    rows = simple_rows(3).append_column("odd", pa.array([1.0, math.nan, None]))
    rows = rows.append_column("prose", pa.array(["short", "x" * 65, None]))
    segment = write_and_open(rows, batch_rows=1)
    assert segment.zone_map("odd") is None
    assert segment.zone_map("prose") is None


def test_infinities_bound_like_other_numbers() -> None:
    rows = simple_rows(3).append_column("wide", pa.array([-math.inf, 0.0, math.inf]))
    assert write_and_open(rows).zone_map("wide") == (-math.inf, math.inf, 0)


def test_an_empty_segment_has_no_bounds() -> None:
    assert write_and_open(simple_rows(0)).zone_map("year") is None


def test_nanoseconds_are_not_rounded() -> None:
    rows = simple_rows(2).append_column("at", pa.array([1, 2], pa.timestamp("ns")))
    zone = write_and_open(rows).zone_map("at")
    assert zone is None or [pa.scalar(bound, pa.timestamp("ns")).value for bound in zone[:2]] == [1, 2]
