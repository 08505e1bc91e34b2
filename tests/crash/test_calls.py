"""Calls: does a writer lose nothing when one of its calls to the operating system kills it, fails or falls short?"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from nearrow.errors import StorageError
from nearrow.storage.local import LocalDirectory
from nearrow.testing import disk_calls
from nearrow.testing.children import Report, run_child
from nearrow.testing.crash_calls import LENGTH, calls_of, strike_calls
from nearrow.testing.crash_look import make_database
from nearrow.testing.crash_script import script
from nearrow.testing.disk_calls import FAULTS, DiskCalls

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks")


def test_acknowledged_rows_survive_every_fault_at_calls_of_a_writer_and_of_its_recovery() -> None:
    tally = strike_calls(5, first=7, step=113, nested_step=9)
    assert set(tally.points) == set(FAULTS)
    assert tally.nested_kills > 5


def test_short_write_is_completed(tmp_path: Path) -> None:
    directory = LocalDirectory(tmp_path)
    with DiskCalls(strike_at=2, fault="short").installed() as calls, directory.create("file") as file:
        file.write(b"0123456789")
    assert calls.fired
    assert calls.kinds == ["open", "pwritev", "pwrite"]
    assert directory.read("file") == b"0123456789"


def test_torn_write_leaves_its_first_half(tmp_path: Path) -> None:
    directory = LocalDirectory(tmp_path)

    def task(report: Report) -> None:
        with DiskCalls(strike_at=2, fault="torn").installed(), directory.create("file") as file:
            file.write(b"0123456789")

    assert run_child(task).killed
    assert directory.read("file") == b"01234"


@pytest.mark.parametrize("fault", ["EIO", "ENOSPC"])
def test_failing_call_does_nothing_and_is_a_typed_error(tmp_path: Path, fault: str) -> None:
    directory = LocalDirectory(tmp_path)
    with (
        DiskCalls(strike_at=2, fault=fault).installed(),
        directory.create("file") as file,
        pytest.raises(StorageError),
    ):
        file.write(b"0123456789")
    assert directory.read("file") == b""


def test_calls_are_whole_again_afterwards() -> None:
    before = [getattr(os, kind) for kind in disk_calls.KINDS]
    with DiskCalls().installed():
        assert os.rename is not before[disk_calls.KINDS.index("rename")]
    assert [getattr(os, kind) for kind in disk_calls.KINDS] == before


def test_build_that_publishes_a_manifest_in_place_is_caught(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def publish(self: LocalDirectory, name: str, data: bytes) -> None:
        with self.create(name) as file:
            file.write(data)
            file.sync()

    monkeypatch.setattr(LocalDirectory, "publish", publish)
    make_database(tmp_path / "empty", "full")
    kinds = calls_of(tmp_path, script(3, LENGTH))
    just_before_old_files_go = kinds.index("unlink") - 10
    with pytest.raises(AssertionError, match="not a manifest"):
        strike_calls(3, faults=["torn"], first=just_before_old_files_go, folder=tmp_path)
