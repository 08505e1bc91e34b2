"""Log kill: is every acknowledged record there after kill -9 of a real writer on a real disk?"""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from random import Random

import pytest

from nearrow.errors import LockedError
from nearrow.storage.local import LocalDirectory
from nearrow.storage.log_reader import durable_lsn, read_log
from nearrow.storage.log_writer import LogWriter

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

ROUNDS = 40


def payload(lsn: int) -> bytes:
    return b"%d " % lsn * (lsn % 700)


def write_for_ever(path: Path, acknowledge: int) -> None:
    """What the child does: recover, then write, sync, tell the LSN, and rotate now and then."""
    directory = LocalDirectory(path)
    directory.lock("LOCK", exclusive=True)
    reader = read_log(directory, 1 if directory.exists("log/00000001.log") else 0)
    list(reader)
    writer = LogWriter.resume(directory, reader.end, reader.end.epoch + 1)
    while True:
        lsn = writer.append((payload(writer.last_lsn + 1),))
        if lsn % 3 == 0:
            os.write(acknowledge, b"%d\n" % writer.sync())
        if lsn % 50 == 0:
            writer = writer.rotate()


def write_and_kill(path: Path, seconds: float) -> int:
    """Runs the child for so long, kills it, and returns the highest LSN that it acknowledged (0 = none)."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            write_for_ever(path, writing)
        finally:
            os._exit(1)
    os.close(writing)
    told: list[bytes] = []
    drain = threading.Thread(target=lambda: told.extend(iter(lambda: os.read(reading, 65536), b"")))
    drain.start()
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    drain.join()
    os.close(reading)
    lines = b"".join(told).split(b"\n")[:-1]
    return int(lines[-1]) if lines else 0


def test_acknowledged_records_survive_kill_at_random_moments(tmp_path: Path) -> None:
    random, acknowledged = Random(1), 0
    directory = LocalDirectory(tmp_path)
    for _ in range(ROUNDS):
        acknowledged = max(acknowledged, write_and_kill(tmp_path, random.uniform(0.001, 0.03)))
        assert not directory.locked("LOCK")
        if not directory.exists("log/00000001.log"):
            continue
        reader = read_log(directory, 1)
        found = {record.lsn: bytes(record.payload) for record in reader}
        assert found == {lsn: payload(lsn) for lsn in range(1, reader.end.last_lsn + 1)}
        assert reader.end.last_lsn >= acknowledged
        assert durable_lsn(directory) >= acknowledged
    assert acknowledged > 50


def test_second_writer_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    directory = LocalDirectory(tmp_path)
    with directory.lock("LOCK", exclusive=True), pytest.raises(LockedError):
        directory.lock("LOCK", exclusive=True)
