"""Dead rows: does each version of the bitmap know exactly its dead?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from segment_rows import simple_rows

from nearrow.errors import CorruptionError, IncompatibleFormatError, InvalidArgumentError
from nearrow.segment.deletes import DeadRows
from nearrow.segment.reader import load_dead
from nearrow.segment.writer import write_dead, write_segment
from nearrow.storage.memory import MemoryDirectory


@given(st.integers(0, 200), st.lists(st.lists(st.integers(0, 199), max_size=40), max_size=5))
def test_deletes_add_up_like_a_set(rows: int, batches: list[list[int]]) -> None:
    dead, expected = DeadRows.none(rows), set[int]()
    for batch in batches:
        batch = [position for position in batch if position < rows]
        before, before_positions = dead, dead.positions().tolist()
        dead = dead.with_dead(batch)
        expected |= set(batch)
        assert before.positions().tolist() == before_positions
    assert dead.positions().tolist() == sorted(expected)
    assert dead.alive_positions().tolist() == sorted(set(range(rows)) - expected)
    assert (dead.count, dead.alive_count) == (len(expected), rows - len(expected))
    assert dead.are_dead(np.arange(rows)).tolist() == [dead.is_dead(position) for position in range(rows)]
    assert (dead.alive is None) == (not expected)
    assert DeadRows.from_bytes(dead.to_bytes(), rows=rows, name="deletes-1") == dead


def test_alive_bits_are_in_arrow_order_with_none_beyond_the_rows() -> None:
    dead = DeadRows.none(11).with_dead([0, 9])
    assert dead.alive is not None
    assert dead.alive.tolist() == [0b11111110, 0b101]
    with pytest.raises(ValueError, match="read-only"):
        dead.alive[0] = 0


def test_all_rows_may_die() -> None:
    dead = DeadRows.none(9).with_dead(range(9))
    assert dead.alive_count == 0
    assert dead.with_dead(3) is dead


@pytest.mark.parametrize("positions", [[-1], [10], [0, 10], [2**40]])
def test_positions_beyond_the_rows_are_refused(positions: list[int]) -> None:
    with pytest.raises(InvalidArgumentError):
        DeadRows.none(10).with_dead(positions)


def test_every_flipped_byte_is_noticed() -> None:
    data = DeadRows.none(100).with_dead([3, 50, 99]).to_bytes()
    for position in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            with pytest.raises((CorruptionError, IncompatibleFormatError), match="deletes-1"):
                DeadRows.from_bytes(bytes(damaged), rows=100, name="deletes-1")
    for length in range(len(data)):
        with pytest.raises(CorruptionError, match="deletes-1"):
            DeadRows.from_bytes(data[:length], rows=100, name="deletes-1")


def test_a_bitmap_of_another_segment_is_refused() -> None:
    with pytest.raises(CorruptionError, match="100 rows"):
        DeadRows.from_bytes(DeadRows.none(100).with_dead([1]).to_bytes(), rows=101, name="deletes-1")


def test_dead_rows_survive_in_their_file() -> None:
    directory = MemoryDirectory()
    entry = write_segment(directory, "s", simple_rows(10))
    assert load_dead(directory, entry) == DeadRows.none(10)
    dead = DeadRows.none(10).with_dead([2, 4])
    entry = write_dead(directory, entry, 7, dead)
    assert load_dead(directory, entry) == dead
    directory.unlink(entry.path("deletes-7"))
    with pytest.raises(CorruptionError, match="deletes-7"):
        load_dead(directory, entry)
    assert write_dead(directory, entry, 8, DeadRows.none(10)).dead is None
