"""Chunks: does it change anything how a column is cut, or how many threads look through it?"""

from __future__ import annotations

import itertools
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest

from nearrow import _kernel
from nearrow.index.columns import count, in_order, positions_of
from nearrow.index.strings import StringPattern, Strings, StringSet, number_strings

ROWS = 150_000  # several pieces
WORDS = ["", "a", "ab", "noun.act", "noun.animal", "abcdefghi", "z" * 15, "z" * 16, "z" * 40, "é"]
WANTED: list[Strings] = [
    StringSet(pa.array(["noun.act"])),
    StringSet(pa.array(WORDS[:3])),
    StringSet(pa.array([*WORDS[3:], *map(str, range(40))])),
    StringPattern("noun", "begin"),
    StringPattern("un.a", "anywhere"),
]


def texts_of(rows: int, seed: int = 0) -> list[str]:
    return [WORDS[pick] for pick in np.random.default_rng(seed).integers(0, len(WORDS), rows)]


def chunks_of(column: pa.Array, cuts: list[int]) -> list[pa.Array]:
    ends = [0, *cuts, len(column)]
    return [column.slice(first, last - first) for first, last in itertools.pairwise(ends)]


def chunk(column: pa.Array) -> _kernel.StringChunk:
    valid, _, data = column.buffers()
    return positions_of(column), data, valid


def bits_of(flags: list[bool]) -> bytes:
    return np.packbits(flags, bitorder="little").tobytes()


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("wanted", WANTED)
def test_strings_are_found_however_the_column_is_cut(wanted: Strings, large: bool) -> None:
    column = pa.array(texts_of(ROWS), pa.large_string() if large else pa.string())
    (whole,) = wanted.match(column)
    flags = np.unpackbits(whole, count=ROWS, bitorder="little")
    cut = chunks_of(column, [0, 8, 40_001, 40_001, 120_000])
    for one, bits in zip(cut, wanted.match(*cut), strict=True):
        first = one.offset
        assert bits.tobytes() == bits_of(flags[first : first + len(one)])
    for threads in (1, 2, 3):
        assert wanted._wanted.match([chunk(column)], threads).tobytes() == whole.tobytes()


def test_no_column_has_no_bits() -> None:
    assert WANTED[0].match() == []
    assert [bits.tobytes() for bits in WANTED[0].match(pa.array([], pa.string()))] == [b""]


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("wanted", WANTED[:2])
def test_lists_are_found_by_their_strings(wanted: Strings, large: bool, every: bool) -> None:
    lengths = np.random.default_rng(1).integers(0, 4, ROWS)
    lengths[70_000] = 5_000
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    texts = texts_of(int(offsets[-1]))
    passing = np.unpackbits(wanted.match(pa.array(texts))[0], bitorder="little")
    expected = [bool((all if every else any)(passing[begin:end])) for begin, end in itertools.pairwise(offsets)]
    kind = pa.LargeListArray if large else pa.ListArray
    lists = kind.from_arrays(pa.array(offsets, pa.int64() if large else pa.int32()), pa.array(texts))
    for cut in ([], [8, 69_999, 70_001]):
        parts = chunks_of(lists, cut)
        for one, bits in zip(parts, wanted.match_in_lists(*parts, every=every), strict=True):
            assert bits.tobytes() == bits_of(expected[one.offset : one.offset + len(one)])
    for threads in (1, 3):
        found = wanted._wanted.match_in_lists([(positions_of(lists), chunk(lists.values))], every, threads)
        assert found.tobytes() == bits_of(expected)


def test_lists_outside_of_their_elements_match_nothing() -> None:
    texts = chunk(pa.array(["a", "a", "a"]))
    for places in ([0, 1, 900, 2, 3], [0, 1, -5, 2, 3]):
        positions = (np.array(places, np.int32).tobytes(), 0, 4, False)
        assert WANTED[1]._wanted.match_in_lists([(positions, texts)], False).tolist() == [0b1001]


@pytest.mark.parametrize("late", [0, 3, 600])
def test_numbers_come_in_the_order_of_rows_for_any_number_of_threads(late: int) -> None:
    texts: list[str | None] = list(texts_of(ROWS))
    texts[5] = None
    for number in range(late):  # after those that the first piece knows, and in no order of theirs
        texts[40_000 + 7 * ((number * 389) % 15_000)] = f"late {number}"
    column = pa.array(texts)
    known = list(dict.fromkeys(text for text in texts if text is not None))
    for parts in ([column], chunks_of(column, [16, 60_001])):
        found = number_strings(parts)
        assert found is not None
        assert found[1].to_pylist() == known
        assert found[0].dtype == (np.uint8 if len(known) < 256 else np.int32)
        assert [known[number - 1] if number else None for number in found[0].tolist()] == texts
        for threads in (1, 2, 3):
            numbering = _kernel.StringNumbers(10_000)
            again = numbering.number([chunk(one) for one in parts], threads)
            assert again is not None
            assert again.tobytes() == found[0].tobytes()
    assert number_strings([column], len(known)) is not None
    assert number_strings([column], len(known) - 1) is None


def test_positions_that_go_back_are_seen_in_every_piece() -> None:
    good = np.arange(ROWS, dtype=np.int32)
    for threads in (1, 2):
        assert _kernel.in_order([(good.tobytes(), 0, ROWS - 1, False)], threads)
        for place in (1, 1 << 15, (1 << 15) + 1, ROWS - 1):
            damaged = good.copy()
            damaged[place] -= 2
            assert not _kernel.in_order(
                [(good.tobytes(), 0, 9, False), (damaged.tobytes(), 0, ROWS - 1, False)], threads
            )
    assert in_order([])


def test_bits_are_counted() -> None:
    for size in (0, 1, 7, 8, 9, 1_000):
        bits = np.random.default_rng(size).integers(0, 256, size).astype(np.uint8)
        assert count(bits) == np.unpackbits(bits).sum()


def test_threads_that_ask_at_once_get_their_own_answers() -> None:
    columns = [pa.array(texts_of(ROWS, seed)) for seed in range(4)]
    expected = [WANTED[0].match(column)[0].tobytes() for column in columns]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            found = pool.map(lambda column: WANTED[0]._wanted.match([chunk(column)], 3).tobytes(), columns)
            assert list(found) == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_helpers_of_its_own() -> None:
    column = pa.array(texts_of(ROWS))
    expected = WANTED[0]._wanted.match([chunk(column)], 3).tobytes()  # the parent has helpers now
    child = os.fork()
    if child == 0:
        os._exit(0 if WANTED[0]._wanted.match([chunk(column)], 3).tobytes() == expected else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
