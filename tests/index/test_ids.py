"""Ids: is every id found at its row, and nothing else, even in a damaged table?"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from nearrow import _kernel
from nearrow.errors import AlreadyExistsError, CorruptionError, InvalidArgumentError, SchemaError
from nearrow.index.ids import IdColumn, IdTable, gather_ids

WORDS = pa.array([f"word-{i}" for i in range(5_000)])


def table_over(ids: pa.Array | pa.ChunkedArray) -> IdTable:
    return IdTable.open(IdTable.build(ids), ids)


def in_chunks(ids: pa.Array, rows: int) -> pa.ChunkedArray:
    return pa.chunked_array([ids[at : at + rows] for at in range(0, len(ids), rows)], type=ids.type)


@given(st.binary(max_size=200), st.integers(0, 2**64 - 1))
def test_the_hash_is_xxh64(data: bytes, seed: int) -> None:
    assert _kernel.id_hash(data, seed) == xxhash.xxh64_intdigest(data, seed)


@given(st.sets(st.text(max_size=40), max_size=80), st.sets(st.text(max_size=40), max_size=20))
def test_strings_are_found_where_they_are_and_others_are_not(ids: set[str], others: set[str]) -> None:
    column = pa.array(sorted(ids), pa.string())
    table = table_over(column)
    assert table.find(column).tolist() == list(range(len(ids)))
    assert (table.find(pa.array(sorted(others - ids), pa.string())) == -1).all()
    assert table.check() == []


@given(st.sets(st.integers(-(2**63), 2**63 - 1), max_size=80))
def test_integers_are_found_where_they_are(ids: set[int]) -> None:
    column = pa.array(sorted(ids), pa.int64())
    table = table_over(column)
    assert table.find(column).tolist() == list(range(len(ids)))
    assert [table.find_one(one) for one in sorted(ids)] == list(range(len(ids)))


@pytest.mark.parametrize("rows", [1, 64, 100, 4096, 5_000, 8192])
def test_chunks_of_any_size_are_used_in_place(rows: int) -> None:
    table = table_over(in_chunks(WORDS, rows))
    order = np.random.default_rng(0).permutation(len(WORDS))
    assert (table.find(WORDS.take(pa.array(order))) == order).all()
    assert table.ids.gather(order[:9]).tolist() == WORDS.take(pa.array(order[:9])).to_pylist()


def test_slices_empty_chunks_and_large_strings_are_used_in_place() -> None:
    pieces = [WORDS[3:3], WORDS[3:70], WORDS[70:70], WORDS[70:71], WORDS[71:99]]
    table = table_over(pa.chunked_array(pieces))
    assert table.find(WORDS[3:99]).tolist() == list(range(96))
    assert table.find(WORDS[3:99].cast(pa.large_string())).tolist() == list(range(96))
    wide = WORDS.cast(pa.large_string())[5:25]
    assert table_over(wide).find(wide).tolist() == list(range(20))


def test_the_same_ids_give_the_same_bytes_however_they_are_chunked() -> None:
    assert IdTable.build(WORDS) == IdTable.build(in_chunks(WORDS, 77))
    assert IdTable.build(WORDS, seed=1) != IdTable.build(WORDS)


def test_needles_of_other_types() -> None:
    words, numbers = table_over(WORDS), table_over(pa.array([5, 2**62, -3]))
    assert words.find(pa.array([1, 2])).tolist() == [-1, -1]
    assert words.find(pa.array(["word-3", None, "word-4"])).tolist() == [3, -1, 4]
    assert words.find(pa.array(["word-3", "x"]).dictionary_encode()).tolist() == [3, -1]
    assert words.find(["word-3", "\ud800", "word-03"]).tolist() == [3, -1, -1]
    assert words.find([]).tolist() == []
    assert numbers.find(pa.array(["5"])).tolist() == [-1]
    assert numbers.find(pa.array([5, 6], pa.int8())).tolist() == [0, -1]
    assert numbers.find(pa.array([5, 2**62, 2**64 - 3], pa.uint64())).tolist() == [0, 1, -1]
    assert numbers.find([5, 2**70, -(2**70), np.int32(-3)]).tolist() == [0, -1, -1, 2]
    assert numbers.find(pa.array([5.0])).tolist() == [-1]


def test_repeated_and_null_ids_are_refused_with_their_place() -> None:
    with pytest.raises(AlreadyExistsError, match="'b' at position 3 is already at position 1"):
        IdTable.build(pa.array(["a", "b", "c", "b"]))
    with pytest.raises(SchemaError, match="position 1"):
        IdTable.build(pa.array(["a", None]))
    with pytest.raises(SchemaError, match="double"):
        IdTable.build(pa.array([1.5]))


def test_many_ids_that_share_buckets_are_all_found() -> None:
    numbers = pa.array(np.random.default_rng(1).permutation(200_000))
    assert table_over(numbers).check() == []


def test_gather_checks_positions() -> None:
    column = IdColumn(WORDS)
    assert gather_ids(column, [2, 0]).tolist() == ["word-2", "word-0"]
    assert gather_ids(pa.array([7, 8]), []).dtype == np.int64
    for position in (-1, 5_000, 2**62):
        with pytest.raises(InvalidArgumentError, match="outside"):
            column.gather([position])


def test_any_flipped_bit_of_the_table_is_noticed() -> None:
    ids = WORDS[:30]
    data = IdTable.build(ids)
    for position in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            with pytest.raises(CorruptionError, match=r"ids\.bin"):
                IdTable.open(bytes(damaged), ids).find(ids)


def test_a_truncated_or_foreign_table_is_refused() -> None:
    data = IdTable.build(WORDS)
    for damaged in (b"", data[:63], data[:64], data[:-1], data + b"\0"):
        with pytest.raises(CorruptionError):
            IdTable.open(damaged, WORDS)
    with pytest.raises(CorruptionError, match="number of ids"):
        IdTable.open(data, WORDS[:-1])
    with pytest.raises(CorruptionError, match="kind"):
        IdTable.open(IdTable.build(pa.array(range(5_000))), WORDS)


def test_damaged_offsets_of_the_ids_lose_those_ids_and_no_more() -> None:
    data = IdTable.build(WORDS)
    offsets = np.frombuffer(WORDS.buffers()[1], np.int32, len(WORDS) + 1).copy()
    offsets[[10, 20, 30]] = [-5, 2**31 - 1, 0]
    broken = pa.StringArray.from_buffers(len(WORDS), pa.py_buffer(offsets), WORDS.buffers()[2])
    table = IdTable.open(data, broken)
    lost = np.flatnonzero(table.find(WORDS) == -1)
    assert set(lost) <= {9, 10, 19, 20, 29, 30}
    assert "not found at their position" in table.check()[0]
    with pytest.raises(CorruptionError, match="position 10"):
        table.ids.gather([10])
    with pytest.raises(CorruptionError, match="position 10"):
        table.ids.pack_hits(np.array([10]), NEAR, 0)


def test_ids_that_are_not_unicode_are_a_typed_error() -> None:
    broken = pa.StringArray.from_buffers(1, pa.py_buffer(np.array([0, 2], np.int32)), pa.py_buffer(b"\xff\xfe"))
    with pytest.raises(CorruptionError):
        IdColumn(broken).gather([0])


NEAR = np.zeros(1, np.float32)


@pytest.mark.parametrize("ids", [pa.array(["a"]), pa.array([7]), pa.array(["é" * 40])])
def test_packed_hits_refuse_what_gather_refuses(ids: pa.Array) -> None:
    column = IdColumn(ids)
    one = 8 if pa.types.is_int64(ids.type) else 4 + len(ids[0].as_py().encode())
    assert len(column.pack_hits(np.array([0]), NEAR, 2**64 - 1)) == 16 + one + 4 + 4 + 32
    for position in (-1, 1, 2**62):
        with pytest.raises(InvalidArgumentError, match="outside"):
            column.pack_hits(np.array([position]), NEAR, 0)
    broken = pa.StringArray.from_buffers(1, pa.py_buffer(np.array([0, 2], np.int32)), pa.py_buffer(b"\xff\xfe"))
    with pytest.raises(CorruptionError):
        IdColumn(broken).pack_hits(np.array([0]), NEAR, 0)
    assert column.pack_hits(np.array([], np.int64), NEAR[:0], 0)[-32:] == bytes(32)
