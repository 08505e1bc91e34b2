"""Log crash: is every acknowledged record there after a failure at any operation, also during recovery?

A small program writes, syncs, rotates and reopens; a fault strikes at each of its operations in turn; then the power goes
or the process is killed, and the program goes on from what is left. The model is the list of what was acknowledged.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from random import Random

import pytest

from nearrow.errors import StorageError
from nearrow.storage import log_writer
from nearrow.storage.log_reader import durable_lsn, read_log
from nearrow.storage.log_writer import LogWriter
from nearrow.testing.fault_directory import FaultDirectory, PowerCut
from nearrow.testing.fault_disk import FaultOutputFile

FAULTS = [PowerCut, errno.EIO, errno.ENOSPC]


@dataclass
class Model:
    """What was written under each LSN, and what of it was acknowledged; where the log begins (as a manifest would say)."""

    first_seq: int = 0
    acknowledged: dict[int, bytes] = field(default_factory=dict)
    appended: dict[int, set[bytes]] = field(default_factory=dict)

    def acknowledge(self, up_to_lsn: int, written: dict[int, bytes]) -> None:
        self.acknowledged.update({lsn: payload for lsn, payload in written.items() if lsn <= up_to_lsn})


def recover(directory: FaultDirectory, model: Model) -> LogWriter:
    """Reads the log, checks it against the model, and starts the next writer."""
    reader = read_log(directory, model.first_seq)
    found = {record.lsn: bytes(record.payload) for record in reader}
    for lsn, payload in model.acknowledged.items():
        assert found.get(lsn) == payload, f"acknowledged record {lsn} is lost"
    for lsn, payload in found.items():
        assert payload in model.appended[lsn], f"record {lsn} was never written"
    writer = LogWriter.resume(directory, reader.end, reader.end.epoch + 1)
    model.first_seq = model.first_seq or writer.seq
    model.acknowledge(writer.durable_lsn, found)  # from now on it is promised
    return writer


def run_program(directory: FaultDirectory, model: Model, random: Random, steps: int = 8) -> None:
    writer = recover(directory, model)
    written: dict[int, bytes] = {}
    for _ in range(steps):
        for _ in range(random.randint(1, 3)):
            payload = random.randbytes(random.choice([0, 5, 300, 3000]))
            model.appended.setdefault(writer.last_lsn + 1, set()).add(payload)
            written[writer.append((payload,))] = payload
        if random.random() < 0.7:
            model.acknowledge(writer.sync(), written)
        if random.random() < 0.2:
            writer = writer.rotate()
            model.acknowledge(writer.durable_lsn, written)
        assert durable_lsn(directory) >= max(model.acknowledged, default=0)
    if random.random() < 0.5:
        writer.close()
        model.acknowledge(writer.durable_lsn, written)


def run_until_fault(directory: FaultDirectory, model: Model, seed: int) -> None:
    try:
        run_program(directory, model, Random(seed))
    except (PowerCut, StorageError):
        if not directory.fired:  # what it found on the disk was wrong
            raise


def count_operations(seed: int) -> int:
    directory = FaultDirectory(seed)
    run_program(directory, Model(), Random(seed))
    return len(directory.operations)


def strike_everywhere(seed: int, error: int | type[PowerCut]) -> int:
    """The program with a fault at each operation, then a crash, then the same in its recovery; returns the images seen."""
    images = 0
    for fail_at in range(1, count_operations(seed) + 1):
        model = Model()
        directory = FaultDirectory(seed, fail_at=fail_at, error=error)
        run_until_fault(directory, model, seed)
        assert directory.fired
        for life in range(3):
            random = Random(f"{seed} {fail_at} {life}")
            directory = directory.kill() if random.random() < 0.3 else directory.crash(random.getrandbits(30))
            directory.arm(random.randint(1, 12), random.choice(FAULTS))
            run_until_fault(directory, model, random.getrandbits(30))
            images += 1
        recover(directory.crash(), model)
        images += 1
    return images


@pytest.mark.parametrize("error", FAULTS, ids=["power", "EIO", "ENOSPC"])
@pytest.mark.parametrize("seed", range(4))
def test_acknowledged_records_survive_a_fault_at_every_operation(seed: int, error: int | type[PowerCut]) -> None:
    assert strike_everywhere(seed, error) > 50


def strike_until_caught(seeds: range) -> None:
    for seed in seeds:
        for error in FAULTS:
            strike_everywhere(seed, error)


def test_log_that_skips_its_fsync_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FaultOutputFile, "sync", lambda self: None)
    with pytest.raises((AssertionError, StorageError)):
        strike_until_caught(range(4))


def test_log_that_skips_the_fsync_of_its_folder_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FaultDirectory, "sync_folder", lambda self, name="": None)
    with pytest.raises((AssertionError, StorageError, ValueError)):
        strike_until_caught(range(4))


def test_log_that_trusts_a_second_fsync_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recovery that takes every valid record for durable, instead of copying it."""
    plain = LogWriter.resume.__func__  # type: ignore[attr-defined]

    def trusting(cls: type[LogWriter], directory: FaultDirectory, end: log_writer.LogEnd, epoch: int) -> LogWriter:
        from dataclasses import replace

        last = {"durable_lsn": end.last_lsn, "durable_bytes": end.valid_bytes, "durable_chain": end.chain}
        return plain(cls, directory, replace(end, **last), epoch)

    monkeypatch.setattr(LogWriter, "resume", classmethod(trusting))
    with pytest.raises((AssertionError, StorageError)):
        strike_until_caught(range(4))


def test_log_that_uses_its_name_before_it_is_synced_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "TEMPORARY_SUFFIX", "")
    monkeypatch.setattr(FaultDirectory, "rename", lambda self, old, new: None)
    with pytest.raises((AssertionError, StorageError)):
        strike_until_caught(range(4))
