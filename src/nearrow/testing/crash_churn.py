"""Churn: do reader processes see whole versions, in order, while a writer writes, deletes and compacts for an hour?

Rows come in groups that are always written together, with the same stamp; one more group changes its ids each time, in one
transaction with the deletion of the ids before. So a reader can tell a torn batch, a lost or a resurrected row, a step
back in time, and a file that went from under it.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import nearrow
from nearrow.collection import Collection
from nearrow.testing.children import SECONDS_MAX, Child, Report, killed_at_the_end, run_child
from nearrow.testing.crash_look import warm_up

GROUP = 8
GROUPS = 60
ROWS = (GROUPS + 1) * GROUP
NAME = "churn"
WRITER_PAUSE_SECONDS = 0.002
READER_PAUSE_SECONDS = 0.03
TURNS_PER_BULK = 7
TURNS_PER_COMPACTION = 200
TURNS_PER_REOPENING = 1000


@dataclass
class ChurnTally:
    """What a campaign did."""

    minutes: float = 0
    writes: int = 0
    rows_written: int = 0
    compactions: int = 0
    writers: int = 0
    readers: int = 0
    versions_seen: int = 0
    segments_at_the_end: int = 0
    files_at_the_end: int = 0
    megabytes_at_the_end: float = 0


def churn(seconds: float, seed: int, *, readers: int = 4, folder: Path | None = None) -> ChurnTally:
    """AssertionError if a reader sees anything but whole versions, or the last state is not what was written."""
    path = Path(tempfile.mkdtemp(prefix="nearrow-churn-", dir=folder))
    warm_up()
    run_child(lambda report: _create(path)).expect()
    tally = ChurnTally(minutes=round(seconds / 60, 2), readers=readers)
    limit = int(seconds) + SECONDS_MAX
    with ExitStack() as stack:  # whichever fails, none goes on

        def child(task: Callable[[Report], None]) -> Child:
            return stack.enter_context(killed_at_the_end(Child(task, seconds_max=limit)))

        writer = child(lambda report: _write(path, seconds, seed, report))
        reading = [child(lambda report: _read(path, seconds, report)) for _ in range(readers)]
        for reader in reading:
            versions = int(reader.end().expect().reports[0])
            assert versions > 0, "a reader saw no new version"
            tally.versions_seen += versions
        figures = [int(figure) for figure in writer.end().expect().reports]
    tally.writes, tally.rows_written, tally.compactions, tally.writers, tally.segments_at_the_end = figures
    files = [file for file in path.rglob("*") if file.is_file()]
    tally.files_at_the_end = len(files)
    tally.megabytes_at_the_end = round(sum(file.stat().st_blocks * 512 for file in files) / 1e6, 1)
    shutil.rmtree(path)
    return tally


def _create(path: Path) -> None:
    with nearrow.connect(path) as database:
        docs = database.create_collection(
            NAME, 4, metric="l2", memtable_rows=64, graph_rows_min=64, text_fields=["text"]
        )
        docs.add([*_rows(range(GROUPS), 0), *_rows(["extra-0"], 0)])


def _rows(groups: Iterable[object], stamp: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{group}-{place}",
            "vector": [float(stamp % 100), float(place), 1.0, 0.0],
            "stamp": stamp,
            "text": f"row of stamp {stamp}",
        }
        for group in groups
        for place in range(GROUP)
    ]


# ---- the writer


def _write(path: Path, seconds: float, seed: int, report: Report) -> None:
    random, end = Random(seed), time.monotonic() + seconds
    stamp = rows = compactions = writers = 0
    newest = dict.fromkeys(map(str, range(GROUPS)), 0)
    while time.monotonic() < end:
        writers += 1
        with nearrow.connect(path) as database:
            docs = database.collection(NAME)
            check_writer(docs, newest, stamp)
            for _ in range(TURNS_PER_REOPENING):
                stamp += 1
                groups = random.sample(range(GROUPS), 10 if stamp % TURNS_PER_BULK == 0 else 1)
                rows += _turn(docs, groups, stamp)
                newest.update(dict.fromkeys(map(str, groups), stamp))
                if stamp % TURNS_PER_COMPACTION == 0:
                    docs.compact()
                    compactions += 1
                time.sleep(WRITER_PAUSE_SECONDS)
                if time.monotonic() > end:
                    break
            docs.wait()
            segments = len(docs._store.state.segments)
    with nearrow.connect(path) as database:
        check_writer(database.collection(NAME), newest, stamp)
        report_ = database.collection(NAME).check()
        assert report_.ok, str(report_)
    for figure in (stamp, rows, compactions, writers, segments):
        report(str(figure))


def _turn(docs: Collection, groups: list[int], stamp: int) -> int:
    """One atomic change: some groups get a new stamp, the extra group gets new ids."""
    rows = [*_rows(groups, stamp), *_rows([f"extra-{stamp}"], stamp)]
    with docs.transaction() as transaction:
        transaction.delete([row["id"] for row in _rows([f"extra-{stamp - 1}"], stamp - 1)])
        transaction.upsert(rows)
    return len(rows)


def check_writer(docs: Collection, newest: dict[str, int], stamp: int) -> None:
    """AssertionError unless the collection holds exactly the newest version of every row."""
    expected = {f"{group}-{place}": at for group, at in newest.items() for place in range(GROUP)}
    expected.update({row["id"]: stamp for row in _rows([f"extra-{stamp}"], stamp)})
    found = docs.to_arrow().select(["id", "stamp"]).to_pylist()
    assert {row["id"]: row["stamp"] for row in found} == expected
    assert len(found) == ROWS


# ---- the readers


def _read(path: Path, seconds: float, report: Report) -> None:
    """Refreshes and checks until the time is up; reports how many versions it saw."""
    end, versions, latest = time.monotonic() + seconds, 0, -1
    while time.monotonic() < end:
        with nearrow.connect(path, read_only=True) as database:
            docs = database.collection(NAME)
            for _ in range(1000):
                docs.refresh()
                newest = check_version(docs)
                assert newest >= latest, f"went back from {latest} to {newest}"
                versions += newest > latest
                latest = newest
                time.sleep(READER_PAUSE_SECONDS)
                if time.monotonic() > end:
                    break
    report(str(versions))


def check_version(docs: Collection) -> int:
    """AssertionError unless what a reader sees is one whole version; its stamp."""
    stamps: dict[str, set[int]] = {}
    rows = docs.to_arrow().select(["id", "stamp"]).to_pylist()
    for row in rows:
        stamps.setdefault(row["id"].rpartition("-")[0].partition("-")[0], set()).add(row["stamp"])
    torn = {group: found for group, found in stamps.items() if len(found) != 1}
    assert not torn, f"torn, lost or resurrected: {torn}"
    assert len(rows) == ROWS, f"{len(rows)} rows of {ROWS}"
    newest = max(min(found) for found in stamps.values())
    (extra,) = stamps["extra"]
    assert extra == newest, f"the extra group is of {extra}, the newest of {newest}"
    point = [float(newest % 100), 3.0, 1.0, 0.0]
    hits = docs.search(point, k=20)
    assert len(hits) == 20
    assert hits.distances[0] == 0.0, "the newest rows were not found"
    exact = docs.search(point, k=20, exact=True)
    assert len(exact) == 20
    assert exact.distances[0] == 0.0
    assert len(docs.search(text="row", k=30)) == 30
    return newest


__all__ = ["ROWS", "ChurnTally", "check_version", "check_writer", "churn"]
