"""Enumeration: is every acknowledged row there after a fault at any disk operation, also during recovery?"""

from __future__ import annotations

import pytest

from nearrow.errors import NearrowError
from nearrow.storage import log_writer, manifest
from nearrow.testing.crash_enumeration import FAULTS, enumerate_points
from nearrow.testing.fault_directory import FaultDirectory
from nearrow.testing.fault_disk import FaultOutputFile, PowerCut

STEP = 11  # of the operations, one in so many; `python -m nearrow.testing.crash points` takes all


@pytest.mark.parametrize("durability", ["full", "batched", "off"])
@pytest.mark.parametrize("fault", list(FAULTS))
@pytest.mark.parametrize("seed", range(3))
def test_acknowledged_rows_survive_a_fault_at_any_operation(seed: int, fault: str, durability: str) -> None:
    tally = enumerate_points(seed, faults=[fault], durability=durability, step=STEP)
    assert tally.points > 3
    assert tally.fired == tally.points


def strike_until_caught() -> None:
    for seed in range(8):
        enumerate_points(seed, faults=["power"], step=5)


CAUGHT = (AssertionError, NearrowError, KeyError)


def test_build_without_the_fsync_of_its_log_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = FaultOutputFile.sync

    def sync(self: FaultOutputFile) -> None:
        if not self.name.startswith("log/"):
            whole(self)

    monkeypatch.setattr(FaultOutputFile, "sync", sync)
    with pytest.raises(CAUGHT):
        strike_until_caught()


def test_build_without_the_fsync_of_its_segments_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = FaultOutputFile.sync

    def sync(self: FaultOutputFile) -> None:
        if not self.name.startswith("segments/"):
            whole(self)

    monkeypatch.setattr(FaultOutputFile, "sync", sync)
    with pytest.raises(CAUGHT):
        strike_until_caught()


@pytest.mark.parametrize("folder", ["", "log", "segments"])
def test_build_without_the_fsync_of_a_folder_is_caught(monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    whole = FaultDirectory.sync_folder

    def sync_folder(self: FaultDirectory, name: str = "") -> None:
        if name.partition("/")[0] != folder:
            whole(self, name)

    monkeypatch.setattr(FaultDirectory, "sync_folder", sync_folder)
    with pytest.raises(CAUGHT):
        strike_until_caught()


def test_build_that_acknowledges_before_the_fsync_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = log_writer.LogWriter.sync

    def sync(self: log_writer.LogWriter, lsn: int | None = None) -> int:
        return self.last_lsn if lsn is not None else whole(self)

    monkeypatch.setattr(log_writer.LogWriter, "sync", sync)
    with pytest.raises(CAUGHT):
        strike_until_caught()


def test_build_that_publishes_a_manifest_in_place_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def publish(self: FaultDirectory, name: str, data: bytes) -> None:
        with self.create(name) as file:
            file.write(data)

    assert manifest.commit is not None
    monkeypatch.setattr(FaultDirectory, "publish", publish)
    with pytest.raises(CAUGHT):
        strike_until_caught()


def test_power_cut_is_no_error_that_a_program_could_handle() -> None:
    assert not issubclass(PowerCut, Exception)
