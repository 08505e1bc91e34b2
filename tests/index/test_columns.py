"""Columns: do the loops over lists and numbers agree with Python's own?"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearrow.index.columns import in_order, lists_marked, marked, match_lists, once_each, tally
from nearrow.index.strings import number_strings

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


@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_offsets_that_go_back_are_not_in_order(kind: type) -> None:
    offsets = np.repeat(np.arange(1_500), 2).astype(kind)
    wide = kind is np.int64
    assert in_order([(pa.py_buffer(offsets), 0, len(offsets) - 1, wide)])
    for place in (0, 1, 1023, 1024, 1025, 2047, 2048, 2999):
        for wrong in (-1, np.iinfo(kind).min, np.iinfo(kind).max):
            damaged = offsets.copy()
            damaged[place] = wrong
            expected = bool(damaged[0] >= 0 and (damaged[1:] >= damaged[:-1]).all())
            assert in_order([(pa.py_buffer(damaged), 0, len(offsets) - 1, wide)]) == expected
        if 0 < place < 2_900:
            assert in_order([(pa.py_buffer(damaged), place + 1, len(offsets) - place - 2, wide)])


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


TEXTS = st.lists(st.none() | st.text("ab\u00e9", max_size=20), max_size=60)


@given(st.lists(TEXTS, max_size=3), st.booleans(), st.integers(0, 3))
def test_strings_are_numbered_in_the_order_in_which_they_come(
    columns: list[list[str | None]], large: bool, skipped: int
) -> None:
    kind = pa.large_string() if large else pa.string()
    texts = [text for column in columns for text in column[skipped:]]
    found = number_strings([pa.array(column, kind).slice(skipped) for column in columns])
    assert found is not None
    numbers, values = found
    assert values.to_pylist() == list(dict.fromkeys(text for text in texts if text is not None))
    assert [None, *values.to_pylist()] == list(dict.fromkeys([None, *texts]))
    assert [values[n - 1].as_py() if n else None for n in numbers.tolist()] == texts


def test_strings_beyond_the_limit_are_not_numbered() -> None:
    column = pa.array([f"text {number % 700}" for number in range(2_000)])
    assert number_strings([column], 699) is None
    found = number_strings([column, column], 700)
    assert found is not None
    assert found[0].tolist() == [1 + number % 700 for number in range(2_000)] * 2


def test_strings_outside_of_their_data_are_null() -> None:
    offsets = np.array([0, 2, 900, 1, 3], np.int32)
    column = pa.Array.from_buffers(pa.string(), 4, [None, pa.py_buffer(offsets), pa.py_buffer(b"abc")])
    found = number_strings([column])
    assert found is not None
    assert (found[0].tolist(), found[1].to_pylist()) == ([1, 0, 0, 2], ["ab", "bc"])


@given(LISTS, st.lists(st.booleans(), min_size=10, max_size=10), st.sampled_from([np.uint8, np.int32]))
def test_rows_of_marked_numbers_are_found(lists: list[list[int]], marks: list[bool], kind: type) -> None:
    places = np.cumsum([0, *map(len, lists)]).astype(np.int64)
    flat = np.array([value for one in lists for value in one], np.int32)
    numbers, starts = once_each(flat, places, 10)
    kept = [numbers[begin:end].tolist() for begin, end in pairwise(starts)]
    assert kept == [list(dict.fromkeys(one)) for one in lists]
    bits = marked(numbers.astype(kind), np.array(marks))
    assert unpacked(bits, len(numbers)) == [marks[number] for number in numbers.tolist()]
    some = [any(marks[n] for n in one) for one in lists]
    assert unpacked(lists_marked(bits, starts, every=False), len(lists)) == some
    every = [all(marks[n] for n in one) for one in lists]
    assert unpacked(lists_marked(bits, starts, every=True), len(lists)) == every


def test_places_outside_of_the_numbers_are_refused() -> None:
    numbers = np.array([0, 1, 2], np.int32)
    for places, distinct in (([0, 4], 3), ([2, 1], 3), ([-1, 1], 3), ([0, 3, 3], 2), ([0, 3, 0, 3], 3)):
        with pytest.raises(ValueError, match="outside"):
            once_each(numbers, np.array(places, np.int64), distinct)
