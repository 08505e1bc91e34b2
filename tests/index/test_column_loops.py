"""Column loops: do the loops for many rows at once agree with those for one row, whatever lies in the column?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from nearrow import _kernel
from nearrow.index.columns import match_lists, once_each, tally
from nearrow.index.strings import Place, StringPattern, StringSet, number_strings

USUAL = _kernel.simd()
PATHS = [path for path in ("scalar", "avx2", "avx512", "neon", "neon_dot") if _kernel.force_simd(path)]
assert _kernel.force_simd(USUAL)
WORDS = ["", "a", "ab", "ab\0", "\0", "abcdefg", "abcdefgh", "abcdefghi", "xbcdefgh", "x" * 15, "x" * 16, "x" * 17]
WORDS += ["y" + "x" * 16, "noun.act", "noun.animal", "é" * 5, *("z" * 8 + middle * 20 + "y" * 8 for middle in "ab")]
ROWS = 3_001


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest) -> Iterator[str]:
    assert _kernel.force_simd(request.param)
    yield request.param
    assert _kernel.force_simd(USUAL)


def texts_of(seed: int, words: list[str], nulls: bool = False) -> list[str | None]:
    picks = np.random.default_rng(seed).integers(0, len(words) + nulls, ROWS)
    return [words[pick] if pick < len(words) else None for pick in picks.tolist()]


def unpacked(bits: np.ndarray, rows: int) -> list[bool]:
    flags = np.unpackbits(bits, bitorder="little")
    assert not flags[rows:].any()
    return [bool(flag) for flag in flags[:rows]]


@pytest.mark.parametrize("short", [False, True])
def test_strings_are_found_in_long_columns(path: str, short: bool) -> None:
    words = [word for word in WORDS if len(word) < 9 or not short]
    texts = texts_of(1, words)
    for cut in (0, 5, 8):
        column, rows = pa.array(texts).slice(cut), texts[cut:]
        for wanted in [[word] for word in [*WORDS, "b", "none of them"]] + [WORDS[1:4], WORDS[3:9], WORDS[5:11], WORDS]:
            (found,) = StringSet(pa.array(wanted)).match(column)
            assert unpacked(found, len(rows)) == [text in wanted for text in rows], wanted
        tests: dict[Place, Callable[..., bool]] = {"begin": str.startswith, "end": str.endswith}
        for place, test in tests.items():
            for text in ("", "a", "ab", "\0", "abcdefg", "abcdefgh", "abcdefghi", "x" * 8, "é", "y" * 9):
                (found,) = StringPattern(text, place).match(column)
                assert unpacked(found, len(rows)) == [test(row, text) for row in rows], (place, text)


@pytest.mark.parametrize("distinct", [3, 18, 255, 256, 900])
@pytest.mark.parametrize("large", [False, True])
def test_long_columns_are_numbered(path: str, distinct: int, large: bool) -> None:
    words = (WORDS + [f"tag{number:02d}" for number in range(distinct)])[:distinct]
    kind = pa.large_string() if large else pa.string()
    columns = [texts_of(seed, words, nulls=True) for seed in (2, 3)]
    cut = 3
    rows = [text for column in columns for text in column[cut:]]
    found = number_strings([pa.array(column, kind).slice(cut) for column in columns])
    assert found is not None
    numbers, values = found
    assert numbers.dtype == (np.uint8 if distinct < 256 else np.int32)
    assert values.to_pylist() == list(dict.fromkeys(text for text in rows if text is not None))
    assert [values[number - 1].as_py() if number else None for number in numbers.tolist()] == rows
    assert number_strings([pa.array(rows)], len(values) - 1) is None


def test_null_strings_whose_bytes_are_those_of_a_value_are_null(path: str) -> None:
    texts = texts_of(4, WORDS)
    kept = np.random.default_rng(4).random(ROWS) < 0.8
    _, offsets, data = pa.array(texts).buffers()
    valid = pa.py_buffer(np.packbits(kept, bitorder="little"))
    for cut in (0, 7, 16):
        column = pa.Array.from_buffers(pa.string(), ROWS, [valid, offsets, data]).slice(cut)
        found = number_strings([column])
        assert found is not None
        named = [found[1][number - 1].as_py() if number else None for number in found[0].tolist()]
        assert named == column.to_pylist()


@pytest.mark.parametrize("longest", [0, 1, 4, 9, 70])
@pytest.mark.parametrize("large", [False, True])
def test_lists_are_matched_in_long_columns(path: str, longest: int, large: bool) -> None:
    random = np.random.default_rng(longest)
    lengths = random.integers(0, longest + 1, ROWS)
    offsets = np.concatenate([[5], 5 + np.cumsum(lengths)])
    values = random.random(int(offsets[-1]))
    kind = pa.large_list if large else pa.list_
    width = np.int64 if large else np.int32
    column = pa.Array.from_buffers(
        kind(pa.float64()), ROWS, [None, pa.py_buffer(offsets.astype(width))], children=[pa.array(values)]
    )
    for share in (0.02, 0.5, 0.98):
        marks = values[5:] < share
        lists = [marks[begin - 5 : end - 5] for begin, end in pairwise(offsets.tolist())]
        packed = np.packbits(marks, bitorder="little")
        some = match_lists(column, packed, 5, len(marks), every=False)
        every = match_lists(column, packed, 5, len(marks), every=True)
        assert unpacked(some, ROWS) == [bool(one.any()) for one in lists]
        assert unpacked(every, ROWS) == [bool(one.all()) for one in lists]


def test_damaged_offsets_give_the_same_on_every_path() -> None:
    """What is damaged matches nothing or anything inside of the data; but on every path the same."""
    random = np.random.default_rng(6)
    _, good, data = pa.array(texts_of(6, WORDS)).buffers()
    marks = random.integers(0, 256, 1_000).astype(np.uint8)

    def answers() -> list[Any]:
        wrong = np.random.default_rng(7)
        found: list[Any] = []
        for _ in range(60):
            offsets = np.frombuffer(good, np.int32)[: ROWS + 1].copy()
            places = wrong.integers(0, ROWS + 1, 3)
            offsets[places] = wrong.choice([-1, 0, 7, 500, 10**6, 2**31 - 1, -(2**31)], 3)
            column = pa.Array.from_buffers(pa.string(), ROWS, [None, pa.py_buffer(offsets), data])
            for wanted in (["a"], ["noun.animal"], WORDS[1:5], WORDS[-1:]):
                found.append(StringSet(pa.array(wanted)).match(column)[0].tobytes())
            found.append(StringPattern("ab", "begin").match(column)[0].tobytes())
            found.append(StringPattern("x", "end").match(column)[0].tobytes())
            numbered = number_strings([column])
            assert numbered is not None
            found.append((numbered[0].tobytes(), numbered[1].to_pylist()))
            lists = pa.Array.from_buffers(
                pa.list_(pa.int8()), ROWS, [None, pa.py_buffer(offsets)], children=[pa.nulls(200_000, pa.int8())]
            )
            found.extend(match_lists(lists, marks, 0, 8_000, every=every).tobytes() for every in (False, True))
        return found

    try:
        found = [answers() for path in PATHS if _kernel.force_simd(path)]
    finally:
        assert _kernel.force_simd(USUAL)
    assert all(one == found[0] for one in found)


@pytest.mark.parametrize("kind", [np.uint8, np.int32])
def test_repeated_elements_are_left_out_of_long_lists_and_counted_once(kind: type) -> None:
    random = np.random.default_rng(8)
    places = np.concatenate([[0], np.cumsum(random.integers(0, 12, ROWS))]).astype(np.int64)
    numbers = random.integers(0, 30, int(places[-1])).astype(kind)
    kept, starts = once_each(numbers, places, 30)
    assert kept.dtype == kind
    expected = [list(dict.fromkeys(numbers[begin:end].tolist())) for begin, end in pairwise(places.tolist())]
    assert [kept[begin:end].tolist() for begin, end in pairwise(starts.tolist())] == expected
    counts = tally(kept, starts, None, ROWS, 30)
    assert counts.tolist() == [sum(number in one for one in expected) for number in range(30)]
    assert tally(kept, None, None, len(kept), 30).tolist() == counts.tolist()
    with pytest.raises(ValueError, match="outside"):
        once_each(numbers, places, 29)
    with pytest.raises(ValueError, match="outside"):
        tally(kept, starts, None, ROWS, 29)
