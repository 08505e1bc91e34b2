"""String sets: is a row found if, and only if, its string is one of those looked for, whatever the bytes around it?"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearrow.index.strings import Place, StringPattern, StringSet

WORDS = [
    "",
    "a",
    "ab",
    "ba",
    "abcdefg",
    "abcdefgh",
    "abcdefghi",
    "xbcdefgh",
    "x" * 16,
    "x" * 17,
    "y" + "x" * 16,
    "é" * 5,
]
LONG = ["x" * 8 + "a" * 20 + "y" * 8, "x" * 8 + "b" * 20 + "y" * 8, "z" * 5_000]
values = st.sampled_from([*WORDS, *LONG]) | st.text(max_size=20)


def found(column: pa.Array, wanted: list[str]) -> list[bool]:
    (bits,) = StringSet(pa.array(wanted, pa.string())).match(column)
    assert len(bits) == (len(column) + 7) // 8
    flags = np.unpackbits(bits, bitorder="little")
    assert not flags[len(column) :].any()
    return [bool(flag) for flag in flags[: len(column)]]


@given(
    st.lists(values, max_size=40),
    st.lists(values, max_size=20),
    st.sampled_from([pa.string(), pa.large_string()]),
    st.integers(0, 40),
)
def test_strings_are_found_by_their_whole_value(
    column: list[str], wanted: list[str], kind: pa.DataType, cut: int
) -> None:
    array = pa.array(column, kind).slice(cut)
    assert found(array, wanted) == [value in wanted for value in column[cut:]]
    assert found(array, wanted[:1]) == [value in wanted[:1] for value in column[cut:]]


def test_a_hundred_thousand_strings_are_looked_for_at_once() -> None:
    column = pa.array([f"n{number:08d}" for number in range(50_000)])
    wanted = [f"n{number * 3:08d}" for number in range(100_000)]
    assert sum(found(column, wanted)) == len(range(0, 50_000, 3))


def test_a_slice_of_values_is_the_set() -> None:
    assert found(pa.array(["b", "a"]), pa.array(["a", "b", "c"]).slice(1, 1).to_pylist()) == [True, False]
    assert len(StringSet(pa.array(["a", "b", "b", "c"]).slice(1))) == 2


@pytest.mark.parametrize("width", [np.int32, np.int64])
def test_offsets_that_point_outside_match_nothing(width: type) -> None:
    good = np.array([0, 2, 4, 6, 8, 10], width)
    rows = [b"ab", b"cd", b"ab", b"cd", b"ab"]
    largest = np.iinfo(width).max
    sets = [["ab"], ["ab", "cd"], ["ab", "cd", *map(str, range(20))], ["abcdabcdab"], [""]]
    for wanted in sets:
        strings = StringSet(pa.array(wanted))._wanted
        for bad in (11, 1_000_000, largest, largest - 1, -1, -largest, np.iinfo(width).min, 5):
            for place in range(6):
                offsets = good.copy()
                offsets[place] = bad
                bits = strings.match([((offsets.tobytes(), 0, 5, width is np.int64), b"abcdabcdab", None)])
                flags = np.unpackbits(bits, bitorder="little")
                for row in range(5):
                    if place not in (row, row + 1):
                        assert flags[row] == (rows[row].decode() in wanted)
        assert not strings.match([((good.tobytes(), 0, 5, width is np.int64), b"", None)]).any() or wanted == [""]


def test_a_column_shorter_than_its_rows_is_refused() -> None:
    from nearrow import _kernel
    from nearrow.errors import InvalidArgumentError

    strings = _kernel.string_set(b"\0\0\0\0\1\0\0\0", b"a", 0, 1)
    with pytest.raises(InvalidArgumentError):
        strings.match([((b"\0\0\0\0", 0, 1, False), b"", None)])
    with pytest.raises(InvalidArgumentError):
        strings.match([((b"\0\0\0\0" * 4, 2**62, 1, False), b"", None)])
    with pytest.raises(InvalidArgumentError):
        _kernel.string_set(b"\0\0\0\0\7\0\0\0", b"a", 0, 1)


SHORT = st.text(alphabet="abé", max_size=20)


@given(st.lists(st.none() | SHORT, max_size=40), SHORT, st.sampled_from(["begin", "end", "anywhere"]), st.booleans())
def test_patterns_agree_with_python(rows: list[str | None], text: str, place: Place, large: bool) -> None:
    column = pa.array(rows, pa.large_string() if large else pa.string())
    for skipped in (0, 3):
        (bits,) = StringPattern(text, place).match(column.slice(skipped))
        flags = np.unpackbits(bits, bitorder="little")
        for row, flag in zip(rows[skipped:], flags, strict=False):
            if row is not None:
                test = {"begin": row.startswith, "end": row.endswith, "anywhere": row.__contains__}[place]
                assert flag == test(text)
        assert not flags[len(rows[skipped:]) :].any()


def test_a_text_is_found_in_long_columns_and_never_across_two_rows() -> None:
    rows = [f"{'x' * (i % 50)}needle{i}" if i % 97 == 0 else "need" if i % 2 else "le" * (i % 5) for i in range(20_000)]
    (bits,) = StringPattern("needle", "anywhere").match(pa.array(rows))
    flags = np.unpackbits(bits, bitorder="little")
    assert np.flatnonzero(flags).tolist() == list(range(0, 20_000, 97))


@pytest.mark.parametrize("place", ["begin", "end", "anywhere"])
@pytest.mark.parametrize("width", [np.int32, np.int64])
def test_damaged_offsets_never_read_outside(width: type, place: Place) -> None:
    for text in ("ab", "abcdabcdab", "", "q" * 40):
        pattern = StringPattern(text, place)._wanted
        for bad in (11, 1_000_000, np.iinfo(width).max, -1, np.iinfo(width).min, 5):
            for at in range(6):
                offsets = np.array([0, 2, 4, 6, 8, 10], width)
                offsets[at] = bad
                assert len(pattern.match([((offsets.tobytes(), 0, 5, width is np.int64), b"abcdabcdab", None)])) == 1
                assert len(pattern.match([((offsets.tobytes(), 0, 5, width is np.int64), b"", None)])) == 1
