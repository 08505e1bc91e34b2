"""Broken builds: would the campaigns notice if a rule of storage were broken?

Each test breaks one rule and expects that a short campaign fails. `test_enumeration.py` has those about fsyncs that are left
out, `test_calls.py` and `test_power.py` those that need a real file system.
"""

from __future__ import annotations

import sys
from typing import Any

import pyarrow as pa
import pytest

from nearrow.errors import NearrowError
from nearrow.segment import reader
from nearrow.segment.deletes import DeadRows
from nearrow.storage import log_format, manifest, published
from nearrow.storage.directory import BytesLike, Directory, parent_of
from nearrow.storage.log_format import LOG_FOLDER, log_seq
from nearrow.storage.manifest import Manifest, SegmentEntry
from nearrow.storage.poison import Poison
from nearrow.testing.crash_enumeration import enumerate_points
from nearrow.testing.crash_flips import flip_bytes
from nearrow.testing.fault_directory import FaultDirectory
from nearrow.write import core
from nearrow.write.record import Change, encode

CAUGHT = (AssertionError, NearrowError, KeyError, pa.ArrowException)


def strike_until_caught(fault: str, *, step: int = 5) -> None:
    for seed in range(8):
        enumerate_points(seed, faults=[fault], step=step)


def test_build_that_renames_before_the_fsync_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def publish(self: FaultDirectory, name: str, data: BytesLike) -> None:
        with self.create(name + ".tmp") as file:
            file.write(data)
            self.rename(name + ".tmp", name)
            self.sync_folder(parent_of(name))
            file.sync()

    monkeypatch.setattr(FaultDirectory, "publish", publish)
    with pytest.raises(CAUGHT):
        strike_until_caught("power")


def test_build_that_does_not_compare_the_checksums_of_records_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = log_format.crc32c

    class Anything(int):
        def __ne__(self, other: object) -> bool:
            return False

        __hash__ = int.__hash__

    monkeypatch.setattr(log_format, "crc32c", lambda data: Anything(whole(data)))
    with pytest.raises((*CAUGHT, ValueError, OverflowError)):
        strike_until_caught("power", step=3)


def test_build_that_forgets_deletes_in_its_log_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_dead(change: Change, schema: pa.Schema | None) -> Any:
        return encode(Change(puts=change.puts), schema)

    monkeypatch.setattr(core, "encode", without_dead)
    with pytest.raises(CAUGHT):
        strike_until_caught("power")


def test_build_that_does_not_write_the_bitmap_of_dead_rows_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def write_dead(directory: Directory, entry: SegmentEntry, version: int, dead: DeadRows) -> SegmentEntry:
        return entry

    monkeypatch.setattr(core, "write_dead", write_dead)
    with pytest.raises(CAUGHT):
        strike_until_caught("power")


@pytest.mark.parametrize("what", ["logs", "segments"])
def test_build_that_unlinks_before_its_manifest_is_there_is_caught(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    whole = manifest.commit

    def commit(directory: Directory, new: Manifest) -> Manifest:
        if what == "logs":
            for name in directory.list(LOG_FOLDER):
                if (log_seq(name) or 0) < new.log_first_seq:
                    directory.unlink(f"{LOG_FOLDER}/{name}")
        else:
            for segment in set(directory.list("segments")) - {entry.id for entry in new.segments}:
                directory.remove_folder(f"segments/{segment}")
        return whole(directory, new)

    monkeypatch.setattr(core, "commit_manifest", commit)
    with pytest.raises(CAUGHT):
        strike_until_caught("power", step=2)


def test_build_that_goes_on_after_a_failed_fsync_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten = property(lambda self: None, lambda self, failure: None)
    monkeypatch.setattr(Poison, "error", forgotten)
    with pytest.raises(CAUGHT):
        strike_until_caught("EIO", step=2)


def test_build_that_shows_half_of_a_batch_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = core.Core._append

    def append(self: core.Core, change: Change, schema: pa.Schema | None) -> int:
        if len(change.dead) and change.puts:
            whole(self, Change(dead=change.dead), schema)
            return whole(self, Change(puts=change.puts), schema)
        return whole(self, change, schema)

    monkeypatch.setattr(core.Core, "_append", append)
    with pytest.raises(CAUGHT):
        strike_until_caught("power", step=1)


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_build_that_does_not_compare_digests_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = published.map_published

    def trusting(directory: Directory, name: str, length: int, expected_digest: str | None = None) -> pa.Buffer:
        return whole(directory, name, length)

    monkeypatch.setattr(reader, "map_published", trusting)
    assert flip_bytes(step=401).failures
