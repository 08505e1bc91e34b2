"""Locks: is a collection free at once when its writer dies, and never a moment earlier?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nearrow.errors import ClosedError, LockedError
from nearrow.storage.local import LocalDirectory

HOLD = """
import sys
from nearrow.storage.local import LocalDirectory
lock = LocalDirectory(sys.argv[1]).lock("LOCK", exclusive=sys.argv[2] == "exclusive")
print("held", flush=True)
sys.stdin.read()
"""

posix_only = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def hold_in_other_process(path: Path, kind: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", HOLD, str(path), kind]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline().strip() == b"held"
    return child


def kill(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGKILL)
    child.communicate()


def in_forked_child(check: Callable[[], None]) -> int:
    """Runs `check` in a fork of this process; returns its exit code, 0 if it did not raise."""
    pid = os.fork()
    if pid == 0:
        try:
            check()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_second_writer_is_refused_at_once_and_a_killed_one_leaves_nothing(tmp_path: Path) -> None:
    directory = LocalDirectory(tmp_path)
    child = hold_in_other_process(tmp_path, "exclusive")
    try:
        assert directory.locked("LOCK")
        with pytest.raises(LockedError, match="read_only=True"):
            directory.lock("LOCK", exclusive=True)
    finally:
        kill(child)
    assert not directory.locked("LOCK")
    directory.lock("LOCK", exclusive=True).release()
    assert directory.exists("LOCK")


def test_readers_of_other_processes_share_and_exclude_the_collector(tmp_path: Path) -> None:
    directory = LocalDirectory(tmp_path)
    child = hold_in_other_process(tmp_path, "shared")
    try:
        directory.lock("LOCK", exclusive=False).release()
        with pytest.raises(LockedError):
            directory.lock("LOCK", exclusive=True)
    finally:
        kill(child)
    directory.lock("LOCK", exclusive=True).release()


@posix_only
def test_forked_child_holds_nothing_and_frees_nothing(tmp_path: Path) -> None:
    directory = LocalDirectory(tmp_path)
    lock = directory.lock("LOCK", exclusive=True)
    file = directory.create("a")

    def check() -> None:
        assert not lock.held
        for act in (lock.check, lambda: file.write(b"x"), file.sync):
            with pytest.raises(ClosedError, match="fork"):
                act()
        lock.release()
        with pytest.raises(LockedError):
            directory.lock("LOCK", exclusive=True)

    assert in_forked_child(check) == 0
    lock.check()
    assert directory.locked("LOCK")
    lock.release()


@posix_only
def test_forked_child_that_lives_on_does_not_keep_the_lock(tmp_path: Path) -> None:
    directory = LocalDirectory(tmp_path)
    lock = directory.lock("LOCK", exclusive=True)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    try:
        lock.release()
        directory.lock("LOCK", exclusive=True).release()
    finally:
        os.close(writing)
        os.waitpid(pid, 0)
        os.close(reading)


def test_lock_that_is_forgotten_is_released(tmp_path: Path) -> None:
    directory = LocalDirectory(tmp_path)
    lock = directory.lock("LOCK", exclusive=True)
    assert lock.held
    del lock
    assert not directory.locked("LOCK")
