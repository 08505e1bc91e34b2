"""Check: does it find a wrong byte in every kind of file, and name the file?"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from random import Random

import pytest
from damage import flip, folder, largest, make, reader, rows

import nearrow
from nearrow.collection import Collection

KINDS = {
    "rows.arrow": "rows",
    "ids.bin": "derived",
    "zones.arrow": "derived",
    "graph.bin": "derived",
    "deletes-*": "rows",
}


def test_sound_collection_is_ok_for_reader_and_writer(tmp_path: Path) -> None:
    make(tmp_path)
    report = reader(tmp_path).check()
    assert report.ok, str(report)
    assert report.checked["rows"] == 210
    assert report.checked["records"] > 0
    with nearrow.connect(tmp_path) as db:
        assert db.collection("docs").check().ok


@pytest.mark.parametrize("kind", KINDS)
def test_flipped_byte_is_found_in_each_kind_of_file(tmp_path: Path, kind: str) -> None:
    make(tmp_path)
    damaged = largest(tmp_path, f"segments/*/{kind}")
    flip(damaged)
    report = nearrow.connect(tmp_path).check_collection("docs")
    name = damaged.relative_to(folder(tmp_path)).as_posix()
    assert [(problem.file, problem.severity) for problem in report.problems] == [(name, KINDS[kind])]
    assert name in str(report)
    assert report.to_dict()["ok"] is False


def test_damage_is_found_while_the_collection_is_open(tmp_path: Path) -> None:
    make(tmp_path)
    with nearrow.connect(tmp_path) as db:
        docs = db.collection("docs")
        damaged = largest(tmp_path, "segments/*/rows.arrow")
        flip(damaged)
        assert [problem.file for problem in docs.check().problems] == [damaged.relative_to(folder(tmp_path)).as_posix()]


def test_damaged_manifests_are_found(tmp_path: Path) -> None:
    make(tmp_path)
    older, newest = sorted(folder(tmp_path).glob("manifest-*"))
    flip(older)
    assert [(p.file, p.severity) for p in reader(tmp_path).check().problems] == [(older.name, "derived")]
    flip(newest, 100)
    with pytest.raises(nearrow.CorruptionError):
        nearrow.connect(tmp_path).check_collection("docs")


def test_damaged_log_is_found(tmp_path: Path) -> None:
    make(tmp_path)
    log = sorted(folder(tmp_path).glob("log/*"))[-1]
    flip(log, 100)
    (problem,) = nearrow.connect(tmp_path).check_collection("docs").problems
    assert (problem.file, problem.severity) == (f"log/{log.name}", "rows")


def test_damaged_text_index_is_found(tmp_path: Path) -> None:
    make(tmp_path, text=True)
    flip(largest(tmp_path, "text/*.store"))
    problems = nearrow.connect(tmp_path).check_collection("docs").problems
    assert [(problem.file, problem.severity) for problem in problems] == [("text", "derived")]


def write_a_lot(docs: Collection, turns: int) -> None:
    random = Random(5)
    for turn in range(turns):
        ids = random.sample(range(200), 70 if turn % 5 == 0 else 3)  # 70 are a bulk load: a segment, not log records
        docs.upsert([{**row, "text": f"turn {turn}"} for n in ids for row in rows(n, n + 1)])
        docs.delete([f"id-{n}" for n in random.sample(range(200), 2)])
        if turn % 7 == 0:
            docs.search(text="turn")
        if turn % 11 == 0:
            docs.compact()


def test_check_beside_a_busy_writer_takes_no_progress_for_damage(tmp_path: Path) -> None:
    make(tmp_path, text=True)
    with nearrow.connect(tmp_path) as db, ThreadPoolExecutor(1) as pool:
        docs = db.collection("docs")
        busy = pool.submit(write_a_lot, docs, 40)
        checks = 0
        while not busy.done() or checks == 0:
            report = docs.check()
            assert report.ok, str(report)
            checks += 1
            wait([busy], timeout=0.02)  # so that the writer gets on
        busy.result()
        assert docs.check().ok
