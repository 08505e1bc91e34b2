"""Unfinished: does what an interrupted creation left go, and nothing else?"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from damage import make, rows

import nearrow
from nearrow.storage.local import LocalDirectory
from nearrow.testing.children import Report, run_child
from nearrow.testing.disk_calls import DiskCalls
from nearrow.write.drop import NEW, begin_new


def folders(library: Path) -> set[str]:
    return {path.name for path in (library / "collections").iterdir()}


def make_beside(library: Path) -> None:
    """One more collection: whoever makes one ends what was interrupted."""
    with nearrow.connect(library) as db:
        db.create_collection("beside", 4).upsert(rows(0, 1))
        db.drop_collection("beside")


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_creation_killed_at_any_call_leaves_nothing_for_ever(tmp_path: Path) -> None:
    make(tmp_path / "whole")
    before = folders(tmp_path / "whole")
    left_something = 0
    for strike_at in range(1, 40):
        library = Path(shutil.copytree(tmp_path / "whole", tmp_path / str(strike_at)))

        def create(report: Report, library: Path = library, strike_at: int = strike_at) -> None:
            with nearrow.connect(library) as db, DiskCalls(strike_at).installed():
                db.create_collection("other", 4)

        if not run_child(create).killed:
            break
        left_something += folders(library) != before
        make_beside(library)
        with nearrow.connect(library) as db:
            if "other" in db.collections():
                db.drop_collection("other")
            assert len(db.collection("docs")) == 211
        assert folders(library) == before
        shutil.rmtree(library)
    assert strike_at > 10
    assert left_something > 5


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_restore_killed_at_any_call_leaves_nothing_for_ever(tmp_path: Path) -> None:
    make(tmp_path / "whole")
    with nearrow.connect(tmp_path / "whole") as db:
        db.collection("docs").snapshot(tmp_path / "snapshot")
    before = folders(tmp_path / "whole")
    for strike_at in range(1, 80, 3):
        library = Path(shutil.copytree(tmp_path / "whole", tmp_path / str(strike_at)))

        def restore(report: Report, library: Path = library, strike_at: int = strike_at) -> None:
            with nearrow.connect(library) as db, DiskCalls(strike_at).installed():
                db.restore(tmp_path / "snapshot", "again")

        if not run_child(restore).killed:
            break
        make_beside(library)
        with nearrow.connect(library) as db:
            if "again" in db.collections():
                assert len(db.collection("again")) == 211
                db.drop_collection("again")
        assert folders(library) == before
        shutil.rmtree(library)
    assert strike_at > 20


def test_collection_that_is_being_made_stays(tmp_path: Path) -> None:
    make(tmp_path)
    with begin_new(LocalDirectory(tmp_path), "collections/new"):
        make_beside(tmp_path)
        assert "new" in folders(tmp_path)
    make_beside(tmp_path)
    assert "new" not in folders(tmp_path)


def test_restored_collection_is_not_new_any_more(tmp_path: Path) -> None:
    make(tmp_path / "library")
    with nearrow.connect(tmp_path / "library") as db:
        db.collection("docs").snapshot(tmp_path / "snapshot")
        db.restore(tmp_path / "snapshot", "again")
    assert not list((tmp_path / "library").rglob(NEW))


@pytest.mark.parametrize(
    "gone", [["manifest-*"], ["manifest-*", "GENERATION"], ["manifest-*", "GENERATION", "WATERMARK"]]
)
def test_collection_that_lost_its_manifests_stays(tmp_path: Path, gone: list[str]) -> None:
    make(tmp_path)
    (docs,) = folders(tmp_path)
    for pattern in gone:
        for path in (tmp_path / "collections" / docs).glob(pattern):
            path.unlink()
    files = sorted(path.name for path in (tmp_path / "collections" / docs).rglob("*"))
    try:
        make_beside(tmp_path)
    except nearrow.CorruptionError:
        assert len(gone) == 1
    assert [
        name for name in files if name not in {path.name for path in (tmp_path / "collections" / docs).rglob("*")}
    ] == []
