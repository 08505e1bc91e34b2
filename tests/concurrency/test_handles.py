"""Handles: what becomes of an open collection in a forked child, in another process, or where nothing may be written?"""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

import nearrow
from nearrow import InvalidArgumentError, ReadOnlyError

ROWS = 40


def rows(first: int, last: int) -> list[dict[str, Any]]:
    return [
        {"id": f"id-{n}", "vector": [float(n), 1.0], "text": f"word{n} common", "year": n} for n in range(first, last)
    ]


def make(path: Path) -> None:
    with nearrow.connect(path) as database:
        docs = database.create_collection(
            "docs", 2, metric="l2", text_fields=["text"], memtable_rows=16, graph_rows_min=8
        )
        docs.add(rows(0, ROWS))
        docs.upsert(rows(ROWS, ROWS + 5))
        docs.wait()


def look(docs: nearrow.Collection) -> tuple[Any, ...]:
    """What a reader finds, by every way that has threads or locks behind it."""
    return (
        docs.count(),
        docs.search([7.0, 1.0], k=1).ids.tolist(),
        docs.search(text="word9", k=1).ids.tolist(),
        docs.search([7.0, 1.0], k=1, where="year > 20").ids.tolist(),
        docs.search([7.0, 1.0], k=1, where={"year": {"$gt": 30}}).ids.tolist(),
    )


def look_and_refresh(docs: nearrow.Collection) -> tuple[Any, ...]:
    found = look(docs)
    docs.refresh()
    return found + look(docs)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_child_reads_on_with_the_readers_handle(tmp_path: Path) -> None:
    make(tmp_path)
    with nearrow.connect(tmp_path, read_only=True) as database:
        docs = database.collection("docs")
        expected = look(docs)
        assert expected == (ROWS + 5, ["id-7"], ["id-9"], ["id-21"], ["id-31"])
        stop = threading.Event()
        other = threading.Thread(target=refresh_until, args=(docs, stop))
        other.start()  # it holds the reader's lock at one or the other of the forks
        try:
            for _ in range(5):
                assert in_fork(lambda: look_and_refresh(docs)) == expected + expected
        finally:
            stop.set()
            other.join()
        assert look(docs) == expected


def refresh_until(docs: nearrow.Collection, stop: threading.Event) -> None:
    while not stop.is_set():
        docs.refresh()


def in_fork(work: Any) -> Any:
    """What `work` returns in a forked child; a child that hangs is killed, and one that dies fails the test."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write_end, pickle.dumps(work()))
        except BaseException as error:
            os.write(write_end, pickle.dumps(repr(error)))
        os._exit(0)
    os.close(write_end)
    watchdog = threading.Timer(60, os.kill, (child, 9))
    watchdog.start()
    with os.fdopen(read_end, "rb") as answer:
        found = answer.read()
    os.waitpid(child, 0)
    watchdog.cancel()
    return pickle.loads(found) if found else "the child died or hung"


def count_rows(docs: nearrow.Collection) -> tuple[int, str]:
    try:
        docs.upsert(rows(900, 901))
    except ReadOnlyError:
        return docs.count(), "reads only"
    return docs.count(), "writes"


def test_pickled_handle_is_a_reader_in_the_process_that_gets_it(tmp_path: Path) -> None:
    make(tmp_path)
    with nearrow.connect(tmp_path) as database, ProcessPoolExecutor(1, get_context("spawn")) as pool:
        docs = database.collection("docs")
        docs.upsert(rows(100, 103))
        assert pool.submit(count_rows, docs).result() == (ROWS + 8, "reads only")
        docs.upsert(rows(103, 104))
        assert pool.submit(count_rows, docs).result() == (ROWS + 9, "reads only"), "it is opened anew each time"
        again = pickle.loads(pickle.dumps(database))
        assert (again.read_only, again.collections(), look(again.collection("docs"))[1]) == (True, ["docs"], ["id-7"])
        again.close()


def test_handle_of_a_collection_in_memory_cannot_be_pickled() -> None:
    database = nearrow.connect(":memory:")
    for handle in (database, database.create_collection("docs", 2)):
        with pytest.raises(InvalidArgumentError, match="in memory"):
            pickle.dumps(handle)


READ = """
import sys, nearrow, pathlib
library = pathlib.Path(sys.argv[1])
try:
    (library / "probe").write_text("")
except OSError as error:
    print(error.errno)
with nearrow.connect(library, read_only=True) as database:
    docs = database.collection("docs")
    docs.refresh()
    print(docs.count(), docs.search([7.0, 1.0], k=1).ids[0], docs.search(text="word9", k=1).ids[0], docs.check().ok)
    try:
        docs.delete(["id-1"])
    except nearrow.ReadOnlyError:
        print("ReadOnlyError")
try:
    nearrow.connect(library).collection("docs")
except nearrow.NearrowError as error:
    print(type(error).__name__)
"""


def test_library_on_a_read_only_mount_is_read(tmp_path: Path) -> None:
    make(tmp_path / "library")
    script = tmp_path / "read.py"
    script.write_text(READ)
    library = str(tmp_path / "library")
    mount = f'mount --bind "{library}" "{library}" && mount -o remount,ro,bind "{library}"'
    if (
        shutil.which("unshare") is None
        or subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True).returncode
    ):
        pytest.skip("a read-only mount needs root and unshare")
    run = [sys.executable, str(script), library]
    reading = ["unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh", *run]
    result = subprocess.run(reading, capture_output=True, text=True, timeout=120)
    assert result.stdout.splitlines() == ["30", f"{ROWS + 5} id-7 id-9 True", "ReadOnlyError", "ReadOnlyError"], result
