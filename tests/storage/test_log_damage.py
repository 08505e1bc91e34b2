"""Log damage: is a damaged log an error or its valid prefix, but never a wrong record?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearrow.errors import CorruptionError, StorageError
from nearrow.storage.directory import Directory
from nearrow.storage.log_format import FILE_HEADER, FRAME_HEADER, FRAME_MAGIC, FRAME_START, encode_header, log_name
from nearrow.storage.log_reader import WATERMARK, LogEnd, read_log
from nearrow.storage.log_writer import LogWriter
from nearrow.storage.memory import MemoryDirectory

PAYLOADS = [b"", b"a", b"12345678", b"record " * 9, bytes(40), b"\xff" * 33]


def write_log(synced: Iterable[int] = range(1, 100)) -> bytes:
    """The bytes of one log with a record per payload, each of `synced` made durable at once."""
    directory = MemoryDirectory()
    writer = LogWriter.create(directory, 1, 1, 1)
    for payload in PAYLOADS:
        if writer.append((payload,)) in synced:
            writer.sync()
    return directory.read(log_name(1))


def write_two_logs() -> tuple[bytes, bytes]:
    directory = MemoryDirectory()
    writer = LogWriter.create(directory, 1, 1, 1)
    for payload in PAYLOADS:
        writer.append((payload,))
    writer.rotate().append((b"later",))
    return directory.read(log_name(1)), directory.read(log_name(2))


SYNCED, UNSYNCED, TWO = write_log(), write_log(synced=()), write_two_logs()


def directory_of(*logs: bytes, durable_lsn: int = 0) -> Directory:
    directory = MemoryDirectory()
    directory.make_folder("log")
    for seq, log in enumerate(logs, start=1):
        directory.publish(log_name(seq), log)
    directory.watermark(WATERMARK).set(durable_lsn)
    return directory


def read(*logs: bytes, durable_lsn: int = 0) -> tuple[list[bytes], LogEnd]:
    reader = read_log(directory_of(*logs, durable_lsn=durable_lsn), 1)
    records = [bytes(record.payload) for record in reader]
    assert len(records) == reader.end.last_lsn
    return records, reader.end


def flipped(data: bytes, position: int, mask: int) -> bytes:
    return data[:position] + bytes([data[position] ^ mask]) + data[position + 1 :]


def test_every_flipped_byte_at_or_below_the_watermark_is_found() -> None:
    for position in range(len(SYNCED)):
        with pytest.raises(CorruptionError, match=r"00000001\.log"):
            read(flipped(SYNCED, position, 1 << position % 8), durable_lsn=len(PAYLOADS))


def test_every_flipped_byte_is_found_without_the_watermark_up_to_what_later_records_vouch_for() -> None:
    """The last record has no later one: without a watermark it looks like a tail that was never acknowledged."""
    for position in range(len(SYNCED)):
        try:
            records, _ = read(flipped(SYNCED, position, 0x10))
        except CorruptionError:
            continue
        assert records == PAYLOADS[:-1]
        assert position >= len(SYNCED) - FRAME_HEADER.size - 40


def test_every_flipped_byte_above_the_watermark_leaves_the_records_before_it() -> None:
    for position in range(FILE_HEADER.size, len(UNSYNCED)):
        records, end = read(flipped(UNSYNCED, position, 0x40))
        assert records == PAYLOADS[: len(records)]
        assert end.valid_bytes <= position
        assert end.torn_bytes > 0


def test_every_flipped_byte_of_a_settled_log_is_found() -> None:
    for number, log in enumerate(TWO):
        size = len(log) if number == 0 else FILE_HEADER.size
        for position in range(size):
            logs = list(TWO)
            logs[number] = flipped(log, position, 0x04)
            with pytest.raises(StorageError):
                read(*logs)


def test_every_truncation_is_an_error_or_the_records_before_it() -> None:
    for size in range(len(UNSYNCED)):
        if size < FILE_HEADER.size:
            with pytest.raises(CorruptionError, match="header"):
                read(UNSYNCED[:size])
            continue
        records, end = read(UNSYNCED[:size])
        assert records == PAYLOADS[: len(records)]
        assert end.valid_bytes <= size
        with pytest.raises(CorruptionError, match="byte"):
            read(UNSYNCED[:size], durable_lsn=len(PAYLOADS))


def test_zeros_after_the_last_record_are_no_torn_write() -> None:
    records, end = read(SYNCED + bytes(5000), durable_lsn=len(PAYLOADS))
    assert records == PAYLOADS
    assert end.torn_bytes == 0


def test_tail_that_was_cut_off_stays_cut_off() -> None:
    """After a torn tail a new writer goes on in a new log; what the tail held never comes back."""
    directory = directory_of(flipped(UNSYNCED, len(UNSYNCED) - 90, 0x01))
    reader = read_log(directory, 1)
    kept = [bytes(record.payload) for record in reader]
    assert 0 < len(kept) < len(PAYLOADS)
    writer = LogWriter.resume(directory, reader.end, 2)
    writer.append((b"new",))
    writer.close()
    directory_after = directory_of(UNSYNCED, directory.read(log_name(2)))
    for one in (directory, directory_after):  # even if the damage heals, as after a lost and found page
        assert [bytes(record.payload) for record in read_log(one, 1)] == [*kept, b"new"]


def test_log_of_another_history_does_not_continue_this_one() -> None:
    other = MemoryDirectory()
    writer = LogWriter.create(other, 1, 1, 1)
    for payload in PAYLOADS:
        writer.append((payload + b"!",))
    writer.rotate()
    with pytest.raises(CorruptionError):
        read(TWO[0], other.read(log_name(2)))


def test_newer_format_is_refused() -> None:
    header = bytearray(encode_header(1, 1, 1, 0, 0))
    from google_crc32c import value

    header[8] = 2
    header[-4:] = value(bytes(header[:-4])).to_bytes(4, "little")
    with pytest.raises(StorageError, match="upgrade"):
        read(bytes(header))


def test_payload_full_of_false_frames_is_no_evidence_and_no_burden() -> None:
    false = FRAME_HEADER.pack(FRAME_MAGIC, 0, 2**31 - 1, 0, 2**40, 1, 2**39)
    small = FRAME_HEADER.pack(FRAME_MAGIC, 0, 1 << 20, 0, 2**40, 1, 2**39)
    directory = MemoryDirectory()
    writer = LogWriter.create(directory, 1, 1, 1)
    writer.append(((false + small) * 20_000,))
    log = directory.read(log_name(1))
    assert read(log)[0] == [(false + small) * 20_000]
    assert read(flipped(log, FILE_HEADER.size + FRAME_START.size, 1))[0] == []


@given(
    st.sampled_from(["synced", "unsynced"]),
    st.lists(st.tuples(st.integers(0, len(SYNCED) - 1), st.binary(min_size=1, max_size=50)), max_size=4),
    st.integers(0, len(SYNCED)),
    st.binary(max_size=100),
    st.integers(0, len(PAYLOADS) + 1),
)
def test_any_damage_is_an_error_or_a_valid_prefix(
    kind: str, patches: list[tuple[int, bytes]], size: int, appended: bytes, durable_lsn: int
) -> None:
    log = bytearray(SYNCED if kind == "synced" else UNSYNCED)
    for position, patch in patches:
        log[position : position + len(patch)] = patch
    damaged = bytes(log[: size or None]) + appended
    try:
        records, end = read(damaged, durable_lsn=durable_lsn)
    except StorageError:
        return
    assert records == PAYLOADS[: len(records)]
    assert len(records) >= durable_lsn
    assert end.durable_lsn <= end.last_lsn


@given(st.lists(st.binary(max_size=300), max_size=3))
def test_arbitrary_bytes_are_a_typed_error(logs: list[bytes]) -> None:
    with pytest.raises(StorageError):
        read(*logs)


@given(st.data())
def test_arbitrary_bytes_after_a_header_are_no_records(data: Any) -> None:
    body = data.draw(st.binary(max_size=200))
    frame = FRAME_START.pack(FRAME_MAGIC, data.draw(st.integers(0, 2**32 - 1)))
    records, _ = read(encode_header(1, 1, 1, 0, 0) + data.draw(st.sampled_from([b"", frame])) + body)
    assert records == []
