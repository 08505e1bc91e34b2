"""Log: is every record that was made durable read back, in order, by writers and readers?"""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pyarrow as pa
import pytest

from nearrow.errors import ClosedError, CorruptionError, InvalidArgumentError, NotFoundError, StorageError
from nearrow.storage import log_reader, log_writer
from nearrow.storage.directory import Directory
from nearrow.storage.local import LocalDirectory
from nearrow.storage.log_format import log_name
from nearrow.storage.log_reader import LogEnd, durable_lsn, read_log
from nearrow.storage.log_writer import LogWriter
from nearrow.storage.memory import MemoryDirectory
from nearrow.testing.fault_directory import FaultDirectory


@pytest.fixture(params=["local", "memory", "fault"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Directory:
    if request.param == "local":
        return LocalDirectory(tmp_path)
    return MemoryDirectory() if request.param == "memory" else FaultDirectory(seed=3)


def payload(number: int) -> bytes:
    return b"record %d " % number * (number % 50)


def write_records(writer: LogWriter, count: int, *, sync: bool = True) -> None:
    for _ in range(count):
        writer.append((payload(writer.last_lsn + 1),))
    if sync:
        writer.sync()


def read_all(directory: Directory, first_seq: int = 1, after_lsn: int = 0) -> tuple[list[bytes], LogEnd]:
    reader = read_log(directory, first_seq, after_lsn=after_lsn)
    records = list(reader)
    assert [record.lsn for record in records] == list(range(after_lsn + 1, after_lsn + 1 + len(records)))
    return [bytes(record.payload) for record in records], reader.end


def reopen(directory: Directory, first_seq: int = 1) -> LogWriter:
    _, end = read_all(directory, first_seq)
    return LogWriter.resume(directory, end, end.epoch + 1)


def test_records_are_read_back_in_order(directory: Directory) -> None:
    writer = LogWriter.create(directory, 1, 1, 1)
    write_records(writer, 200)
    assert writer.durable_lsn == writer.last_lsn == durable_lsn(directory) == 200
    writer.close()
    records, end = read_all(directory)
    assert records == [payload(number) for number in range(1, 201)]
    assert (end.seq, end.last_lsn, end.chain, end.valid_bytes) == (1, 200, writer.chain, writer.size)
    assert end.torn_bytes == 0


def test_record_of_several_buffers_is_read_as_one(directory: Directory) -> None:
    writer = LogWriter.create(directory, 1, 1, 1)
    for big in (b"", b"x" * 70_000):
        writer.append((b"bytes ", bytearray(b"bytearray "), memoryview(b"memoryview "), pa.py_buffer(b"arrow"), big))
    writer.append(())
    writer.append((memoryview(bytearray(200_000)).cast("Q"),))
    writer.close()
    whole = b"bytes bytearray memoryview arrow"
    assert read_all(directory)[0] == [whole, whole + b"x" * 70_000, b"", bytes(200_000)]


def test_payload_is_a_slice_of_the_mapped_log_aligned_for_arrow(tmp_path: Path) -> None:
    writer = LogWriter.create(LocalDirectory(tmp_path), 1, 1, 1)
    write_records(writer, 30)
    mapped = [record.payload for record in read_log(LocalDirectory(tmp_path), 1)]
    assert all(buffer.address % 8 == 0 for buffer in mapped)
    assert all(buffer.parent is not None for buffer in mapped)


def test_records_after_a_given_one_are_read_alone(directory: Directory) -> None:
    writer = LogWriter.create(directory, 1, 1, 1)
    write_records(writer, 10)
    writer = writer.rotate()
    write_records(writer, 10)
    writer.close()
    for first_seq, after_lsn in ((1, 0), (1, 5), (1, 10), (2, 10), (1, 15), (2, 20)):
        records, end = read_all(directory, first_seq, after_lsn)
        assert records == [payload(number) for number in range(after_lsn + 1, 21)]
        assert end.last_lsn == 20
    with pytest.raises(CorruptionError, match="begins with LSN 11"):
        read_all(directory, 2, 9)
    with pytest.raises(CorruptionError):
        read_all(directory, 1, 21)


def test_rotation_continues_the_chain_in_the_next_file(directory: Directory) -> None:
    writer = LogWriter.create(directory, 1, 1, 1)
    for _ in range(5):
        write_records(writer, 3, sync=False)
        old, writer = writer, writer.rotate()
        assert durable_lsn(directory) == old.durable_lsn == writer.durable_lsn == old.last_lsn
        with pytest.raises(ClosedError):
            old.append((b"late",))
    assert writer.seq == 6
    writer.close()
    assert len(read_all(directory)[0]) == 15
    assert len(read_all(directory, 4, 9)[0]) == 6


def test_reopened_writer_goes_on_in_a_new_log(directory: Directory) -> None:
    LogWriter.create(directory, 1, 1, 1).close()
    for _ in range(4):
        writer = reopen(directory)
        write_records(writer, 5)
        writer.close()
    records, end = read_all(directory)
    assert records == [payload(number) for number in range(1, 21)]
    assert (end.seq, end.epoch) == (5, 5)


def test_new_collection_has_no_log_yet(directory: Directory) -> None:
    records, end = read_all(directory, first_seq=0)
    assert records == []
    assert (end.seq, end.next_seq, end.last_lsn) == (0, 1, 0)
    writer = LogWriter.resume(directory, end, 1)
    write_records(writer, 2)
    writer.close()
    assert len(read_all(directory)[0]) == 2


def test_reader_sees_no_further_than_the_durable_record(directory: Directory) -> None:
    writer = LogWriter.create(directory, 1, 1, 1)
    write_records(writer, 3)
    write_records(writer, 4, sync=False)
    reader = read_log(directory, 1, up_to_lsn=durable_lsn(directory))
    assert [record.lsn for record in reader] == [1, 2, 3]
    tail = reader.tail()
    assert tail.poll() == []
    writer.sync()
    assert [record.lsn for record in tail.poll()] == [4, 5, 6, 7]
    assert tail.poll() == []


def test_reader_follows_the_log_through_rotations_and_writers(directory: Directory) -> None:
    writer = LogWriter.create(directory, 1, 1, 1)
    reader = read_log(directory, 1, up_to_lsn=0)
    assert list(reader) == []
    tail, seen = reader.tail(), []
    for step in range(12):
        write_records(writer, step, sync=step % 2 == 0)
        if step % 3 == 0:
            writer = writer.rotate()
        if step % 4 == 0:
            writer.close()
            writer = reopen(directory)
        seen += [(record.lsn, bytes(record.payload)) for record in tail.poll()]
        assert tail.lsn == durable_lsn(directory)
    writer.close()
    seen += [(record.lsn, bytes(record.payload)) for record in tail.poll()]
    assert seen == [(number, payload(number)) for number in range(1, writer.last_lsn + 1)]


def test_reader_whose_log_was_collected_is_told(directory: Directory) -> None:
    writer = LogWriter.create(directory, 1, 1, 1)
    reader = read_log(directory, 1)
    list(reader)
    tail = reader.tail()
    write_records(writer, 1)
    writer = writer.rotate()
    write_records(writer, 1)
    directory.unlink(log_name(1))
    with pytest.raises(NotFoundError):
        tail.poll()


def test_missing_log_is_corruption(directory: Directory) -> None:
    with pytest.raises(CorruptionError, match=log_name(1)):
        read_all(directory)
    writer = LogWriter.create(directory, 1, 1, 1)
    for _ in range(3):
        write_records(writer, 1)
        writer = writer.rotate()
    writer.close()
    directory.unlink(log_name(2))
    with pytest.raises(CorruptionError, match=log_name(2)):
        read_all(directory)


def test_end_is_known_only_after_reading(directory: Directory) -> None:
    write_records(LogWriter.create(directory, 1, 1, 1), 3)
    reader = read_log(directory, 1)
    next(iter(reader))
    with pytest.raises(StorageError):
        _ = reader.end


def test_closed_writer_refuses(directory: Directory) -> None:
    writer = LogWriter.create(directory, 1, 1, 1)
    writer.append((b"x",))
    writer.close()
    writer.close()
    assert writer.durable_lsn == 1
    with pytest.raises(ClosedError):
        writer.append((b"y",))


def test_record_too_big_for_a_frame_is_refused_and_nothing_is_written(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "PAYLOAD_BYTES_MAX", 100)
    writer = LogWriter.create(directory, 1, 1, 1)
    with pytest.raises(InvalidArgumentError, match="smaller"):
        writer.append((b"x" * 60, b"y" * 60))
    assert writer.append((b"x" * 100,)) == 1
    writer.close()
    assert read_all(directory)[0] == [b"x" * 100]


def test_epochs_only_rise_and_a_log_states_its_predecessor(directory: Directory) -> None:
    writer = LogWriter.create(directory, 1, 5, 1)
    writer.close()
    _, end = read_all(directory)
    with pytest.raises(InvalidArgumentError, match="epoch"):
        LogWriter.resume(directory, end, 5)
    with pytest.raises(InvalidArgumentError, match="previous_bytes"):
        LogWriter.create(directory, 2, 6, 1)


@pytest.mark.parametrize("kind", ["write", "sync"])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_writer_is_poisoned_by_a_failure(kind: str, error: int) -> None:
    directory = FaultDirectory(seed=1)
    writer = LogWriter.create(directory, 1, 1, 1)
    write_records(writer, 3)
    directory.arm(1, error, [kind])
    with pytest.raises(StorageError) as caught:
        write_records(writer, 1)
    assert caught.value.errno == error
    assert directory.fired
    assert writer.failed
    for act in (lambda: writer.append((b"x",)), writer.sync, writer.rotate):
        with pytest.raises(StorageError, match="reopen"):
            act()
    assert writer.durable_lsn == durable_lsn(directory) == 3
    writer.close()
    assert len(read_all(directory)[0]) >= 3


def test_records_that_come_just_after_the_last_one_was_read_are_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader told how far to read has come to the end of a living log; before it looks behind it, two more are written."""
    directory = LocalDirectory(tmp_path)
    writer = LogWriter.create(directory, 1, 1, 1)
    write_records(writer, 3)
    plain = log_reader.used_bytes

    def look_late(log: pa.Buffer, end: int) -> int:
        write_records(writer, 1)
        write_records(writer, 1)  # this one says that the one before it is durable
        return plain(log, end)

    monkeypatch.setattr(log_reader, "used_bytes", look_late)
    reader = read_log(directory, 1, up_to_lsn=3)
    assert [record.lsn for record in reader] == [1, 2, 3]
    assert reader.tail().poll() == []
    with pytest.raises(CorruptionError, match="record 4 is not whole"):  # whoever is not told takes it for damage
        list(read_log(directory, 1))
    assert [record.lsn for record in reader.tail().poll()] == [4, 5]
    writer.close()


def test_record_whose_fsync_failed_is_not_trusted_to_a_second_fsync() -> None:
    """The OS marks pages clean when their write-back fails, so the next fsync of the same file would lie."""
    for seed in range(20):
        directory = FaultDirectory(seed)
        writer = LogWriter.create(directory, 1, 1, 1)
        write_records(writer, 2)
        directory.arm(1, errno.EIO, ["sync"])
        with pytest.raises(StorageError):
            write_records(writer, 30)
        writer = reopen(directory.kill())
        assert writer.durable_lsn == 32
        records, _ = read_all(writer._directory.crash())  # type: ignore[attr-defined]
        assert records == [payload(number) for number in range(1, 33)]


def test_threads_share_an_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = LogWriter.create(LocalDirectory(tmp_path), 1, 1, 1)
    syncs, all_appended = [], threading.Barrier(8)
    plain = writer._file.sync
    monkeypatch.setattr(writer._file, "sync", lambda: (syncs.append(1), plain()))

    def write_one() -> None:
        lsn = writer.append((b"x",))
        all_appended.wait()
        assert writer.sync(lsn) >= lsn

    threads = [threading.Thread(target=write_one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert writer.durable_lsn == 8
    assert len(syncs) == 1
