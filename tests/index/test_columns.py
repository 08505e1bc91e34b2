"""Columns: do the loops over lists and numbers agree with Python's own?"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearrow.index.columns import match_lists, tally

LISTS = st.lists(st.lists(st.integers(0, 9), max_size=70), max_size=40)


def unpacked(bits: np.ndarray, rows: int) -> list[bool]:
    return [bool(flag) for flag in np.unpackbits(bits, count=rows, bitorder="little")]


@given(LISTS, st.integers(0, 9), st.booleans(), st.integers(0, 5))
def test_lists_with_a_marked_element_are_found(lists: list[list[int]], least: int, large: bool, skipped: int) -> None:
    kind = pa.large_list(pa.int64()) if large else pa.list_(pa.int64())
    array = pa.array(lists, kind).slice(skipped)
    lists = lists[skipped:]
    first = array.offsets[0].as_py() if len(array) else 0
    values = array.values.to_numpy()[first : first + sum(map(len, lists))]
    marks = np.packbits(values >= least, bitorder="little")
    some = match_lists(array, marks, first, len(values), every=False)
    every = match_lists(array, marks, first, len(values), every=True)
    assert unpacked(some, len(lists)) == [any(value >= least for value in one) for one in lists]
    assert unpacked(every, len(lists)) == [all(value >= least for value in one) for one in lists]


def test_lists_that_lie_outside_of_their_values_match_nothing() -> None:
    offsets = np.array([0, 2, 900, 1, 3], np.int32)
    array = pa.Array.from_buffers(
        pa.list_(pa.int8()), 4, [None, pa.py_buffer(offsets)], children=[pa.nulls(3, pa.int8())]
    )
    marks = np.array([0b111], np.uint8)
    for every in (False, True):
        assert unpacked(match_lists(array, marks, 0, 3, every=every), 4) == [True, False, False, True]


@given(LISTS)
def test_numbers_of_the_wanted_rows_are_counted(lists: list[list[int]]) -> None:
    wanted = np.random.default_rng(len(lists)).random(len(lists)) < 0.5
    starts = np.cumsum([0, *map(len, lists)]).astype(np.int32)
    numbers = np.array([value for one in lists for value in one], np.int32)
    counts = tally(numbers, starts, np.packbits(wanted, bitorder="little"), len(lists), 10)
    expected = Counter(value for one, flag in zip(lists, wanted, strict=True) if flag for value in one)
    assert counts.tolist() == [expected[value] for value in range(10)]
    assert tally(numbers, None, None, len(numbers), 10).tolist() == [
        numbers.tolist().count(value) for value in range(10)
    ]


def test_numbers_outside_of_the_table_are_refused() -> None:
    starts = np.array([0, 1, 2], np.int32)
    for numbers, begins, rows in (([0, 10], None, 2), ([-1, 0], None, 2), ([0, 1], starts + 1, 2), ([0, 1], starts, 3)):
        with pytest.raises(ValueError, match=r"rows|outside"):
            tally(np.array(numbers, np.int32), begins, None, rows, 10)
