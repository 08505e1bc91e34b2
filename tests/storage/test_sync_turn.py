"""Sync turn: does the leader wait for those who come, and for nobody else? Does the disk begin early?"""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from nearrow.errors import StorageError
from nearrow.storage.local import LocalDirectory
from nearrow.storage.log_writer import LogWriter
from nearrow.storage.sync_turn import SyncTurn

LONG = 60.0  # an fsync that takes so long makes a wait that no test survives


def turn_after(records: int, seconds: float) -> SyncTurn:
    """The last fsync covered so many records and took so long."""
    turn = SyncTurn(0)
    assert turn.lead()
    with turn:
        turn.done(records, records, seconds)
    return turn


def test_leader_goes_when_the_last_of_its_group_has_come() -> None:
    turn = turn_after(3, LONG)
    written = [4]  # the leader's own
    came = threading.Event()

    def await_them() -> None:
        turn.await_others(lambda: written[0])
        came.set()

    leader = threading.Thread(target=await_them, daemon=True)
    leader.start()
    for lsn in (5, 6):
        assert not came.wait(0.05)
        written[0] = lsn
        turn.appended(lsn)
    assert came.wait(LONG / 2)


def test_leader_whose_group_is_there_already_does_not_wait() -> None:
    turn = turn_after(3, LONG)
    turn.await_others(lambda: 6)
    turn.await_others(lambda: 9)


def test_leader_does_not_wait_for_those_who_left() -> None:
    turn = turn_after(16, 0.01)
    turn.await_others(lambda: 17)
    turn.done(17, 17, LONG)  # alone this time, and so it is expected to be alone
    turn.await_others(lambda: 18)


def test_disk_begins_with_a_record_that_will_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = LogWriter.create(LocalDirectory(tmp_path), 1, 1, 1)
    begun: list[int] = []
    plain = writer._file.begin_sync
    monkeypatch.setattr(writer._file, "begin_sync", lambda: (begun.append(writer._file.size), plain()))
    writer.append((b"x",))
    assert begun == []
    writer.append((b"y" * 100_000,), sync_follows=True)
    assert begun == [writer.size]
    assert writer._turn.lead()
    with writer._turn:
        writer.append((b"z",), sync_follows=True)  # while another thread syncs: its pages would be written twice
    assert len(begun) == 1
    assert writer.sync() == 3
    writer.close()


def test_disk_that_cannot_even_begin_stops_the_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = LogWriter.create(LocalDirectory(tmp_path), 1, 1, 1)

    def fail() -> None:
        raise StorageError("begin to sync: the disk is gone")

    monkeypatch.setattr(writer._file, "begin_sync", fail)
    with pytest.raises(StorageError, match="gone"):
        writer.append((b"x",), sync_follows=True)
    assert writer.failed
    with pytest.raises(StorageError, match="reopen"):
        writer.append((b"x",))
    writer.close()
