"""Processes: may many read while one writes, and is the second writer told at once?"""

from __future__ import annotations

import multiprocessing
import os
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

import nearrow
from nearrow import ClosedError, LockedError
from nearrow.testing.crash_churn import churn

GROUP = 8  # rows that are always written together, with the same stamp
GROUPS = 30
CONTEXT = multiprocessing.get_context("spawn")


def group_rows(group: int, stamp: int) -> list[dict[str, object]]:
    vector = [float(group), float(stamp % 100), 1.0, 0.0]
    return [{"id": f"{group}-{place}", "vector": vector, "stamp": stamp} for place in range(GROUP)]


def make_database(path: Path) -> None:
    with nearrow.connect(path) as database:
        docs = database.create_collection("docs", 4, metric="l2", memtable_rows=64, graph_rows_min=64)
        docs.add([row for group in range(GROUPS) for row in group_rows(group, 0)])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_reader_processes_see_whole_versions_while_a_writer_churns() -> None:
    tally = churn(seconds=4, seed=1, readers=2)
    assert tally.versions_seen > 2
    assert tally.writes > 2


def try_to_write(path: str, report: Connection) -> None:
    began = time.monotonic()
    try:
        nearrow.connect(path).collection("docs")
    except LockedError as error:
        report.send((str(error), time.monotonic() - began))
    else:
        report.send(("opened", 0.0))


def test_second_writer_process_gets_locked_error_at_once(tmp_path: Path) -> None:
    make_database(tmp_path / "library")
    with nearrow.connect(tmp_path / "library") as database:
        database.collection("docs")
        receive, send = CONTEXT.Pipe(duplex=False)
        process = CONTEXT.Process(target=try_to_write, args=(str(tmp_path / "library"), send))
        process.start()
        message, _ = receive.recv()
        process.join()
        assert "read_only=True" in message
        with nearrow.connect(tmp_path / "library") as second, pytest.raises(LockedError):
            second.collection("docs")
    with nearrow.connect(tmp_path / "library") as database:
        assert database.collection("docs").count() == GROUPS * GROUP


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_child_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    make_database(tmp_path / "library")
    with nearrow.connect(tmp_path / "library") as database:
        docs = database.collection("docs")
        docs.upsert(group_rows(1, 5))
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            os._exit(_in_child(database, tmp_path / "library", write_end))
        os.close(write_end)
        with os.fdopen(read_end) as answers:
            told = answers.read().split()
        os.waitpid(child, 0)
        assert told == ["ClosedError", "ClosedError", "LockedError", str(GROUPS * GROUP), "closed"]
        docs.upsert(group_rows(2, 6))
        with pytest.raises(LockedError), nearrow.connect(tmp_path / "library") as second:
            second.collection("docs")
    with nearrow.connect(tmp_path / "library") as database:
        assert database.collection("docs").get(["1-0", "2-0"]).column("stamp").to_pylist() == [5, 6]


def _in_child(database: nearrow.Database, path: Path, write_end: int) -> int:
    """What the forked child finds; written to the pipe, word by word."""
    docs = database.collection("docs")
    found = []
    for verb in (lambda: docs.upsert(group_rows(1, 99)), lambda: docs.delete(["1-0"])):
        try:
            verb()
            found.append("written")
        except ClosedError:
            found.append("ClosedError")
    try:
        nearrow.connect(path).collection("docs")
    except LockedError:
        found.append("LockedError")
    reader = nearrow.connect(path, read_only=True).collection("docs")
    found.append(str(reader.count()))
    database.close()
    found.append("closed")
    os.write(write_end, " ".join(found).encode())
    return 0
