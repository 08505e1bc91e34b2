"""Check: does it find a wrong byte in every kind of file, and name the file?"""

from __future__ import annotations

from pathlib import Path

import pytest
from damage import flip, folder, largest, make, reader

import nearrow

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
