"""Forged damage: files whose digests agree, but which do not fit. Only what they say can tell."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from damage import flip, folder, make, rows

import nearrow
from nearrow.segment.deletes import DeadRows
from nearrow.storage.manifest import DeadEntry, FileEntry, Manifest, SegmentEntry, file_name
from nearrow.storage.published import digest
from nearrow.write.report import Report


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with two segments of the same number of rows and different years, one with deletes."""
    library = tmp_path_factory.mktemp("whole") / "library"
    with nearrow.connect(library) as db:
        docs = db.create_collection("docs", 4, metric="l2", graph_rows_min=8, memtable_rows=64, text_fields=["text"])
        for first in (0, 100):
            docs.upsert([{**row, "year": 2000 + first} for row in rows(first, first + 100)])
            docs.wait()
        docs.delete(["id-3", "id-5"])
        docs.flush()
        assert docs.search(text="77")[0].id == "id-77"
        assert len(list(folder(library).glob("segments/*"))) == 2
    return library


@pytest.fixture
def library(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "library"))


def newest(library: Path) -> Manifest:
    path = max(folder(library).glob("manifest-*"))
    return Manifest.from_bytes(path.read_bytes())


def forge(library: Path, manifest: Manifest) -> None:
    (folder(library) / file_name(manifest.number)).write_bytes(manifest.to_bytes())


def forge_file(library: Path, entry: SegmentEntry, name: str, data: bytes) -> None:
    """Put `data` in the place of a file, and tell the manifest so."""
    manifest = newest(library)
    (folder(library) / entry.path(name)).write_bytes(data)
    forged = replace(entry, files={**entry.files, name: FileEntry(len(data), digest(data))})
    forge(library, replace(manifest, segments=tuple(forged if e.id == entry.id else e for e in manifest.segments)))


def check(library: Path) -> Report:
    with nearrow.connect(library, read_only=True) as db:
        return db.check_collection("docs")


def ids_of(library: Path) -> list[str]:
    with nearrow.connect(library, read_only=True) as db:
        found: list[str] = db.collection("docs").to_arrow()["id"].to_pylist()
    return sorted(found)


def assert_repaired(library: Path, before: list[str]) -> None:
    with nearrow.connect(library) as db:
        done = db.repair_collection("docs")
        assert (done.rows_lost, done.records_lost, done.deletes_lost) == (0, 0, 0), str(done)
        docs = db.collection("docs")
        docs.wait()
        assert docs.search(text="77")[0].id == "id-77"
    assert check(library).ok, str(check(library))
    assert ids_of(library) == before


@pytest.mark.parametrize("name", ["ids.bin", "zones.arrow"])
def test_derived_file_of_another_segment_is_found_by_what_it_says(library: Path, name: str) -> None:
    before = ids_of(library)
    first, second = newest(library).segments
    forge_file(library, first, name, (folder(library) / second.path(name)).read_bytes())
    assert [(p.file, p.severity) for p in check(library).problems] == [(first.path(name), "derived")]
    assert_repaired(library, before)


def test_graph_with_neighbours_that_are_not_there_is_found(library: Path) -> None:
    before = ids_of(library)
    entry = newest(library).segments[0]
    data = bytearray((folder(library) / entry.path("graph.bin")).read_bytes())
    data[4096:4100] = (10**6).to_bytes(4, "little")
    forge_file(library, entry, "graph.bin", bytes(data))
    assert [(p.file, p.severity) for p in check(library).problems] == [(entry.path("graph.bin"), "derived")]
    assert_repaired(library, before)


def test_row_that_is_alive_twice_is_found_and_the_newest_counts(library: Path) -> None:
    with nearrow.connect(library) as db:
        docs = db.collection("docs")
        docs.upsert([{"id": "id-1", "vector": [9.0, 9.0, 9.0, 9.0], "text": "row 1 anew", "year": 2001}])
        docs.flush()
        docs.wait()
    before = ids_of(library)
    manifest = newest(library)
    (entry,) = [entry for entry in manifest.segments if entry.dead is not None and entry.dead.count == 3]
    assert entry.dead is not None
    fewer = DeadRows.none(entry.rows).with_dead([3, 5]).to_bytes()
    (folder(library) / entry.path(entry.dead.file)).write_bytes(fewer)
    forged = replace(entry, dead=DeadEntry(entry.dead.file, 2, len(fewer), digest(fewer)))
    forge(library, replace(manifest, segments=tuple(forged if e.id == entry.id else e for e in manifest.segments)))
    twice, text = check(library).problems
    assert (twice.severity, text.file) == ("rows", "text")
    assert "1 ids are there twice: ['id-1']" in twice.what
    with nearrow.connect(library) as db:
        done = db.repair_collection("docs")
        assert any("1 ids were there twice" in note for note in done.notes)
        assert db.collection("docs").get(["id-1"])["text"].to_pylist() == ["row 1 anew"]
    assert ids_of(library) == before
    assert check(library).ok


def test_manifest_that_names_a_segment_twice_is_not_believed(library: Path) -> None:
    before = ids_of(library)
    manifest = newest(library)
    forge(library, replace(manifest, segments=(*manifest.segments, manifest.segments[0])))
    (problem,) = check(library).problems
    assert "names a segment twice" in problem.what
    with nearrow.connect(library) as db:
        db.repair_collection("docs")
    assert ids_of(library) == before
    assert check(library).ok


def test_manifest_that_names_an_unknown_file_is_told(library: Path) -> None:
    before = ids_of(library)
    manifest = newest(library)
    first, *others = manifest.segments
    more = replace(first, files={**first.files, "secret.bin": FileEntry(7, "0" * 32)})
    forge(library, replace(manifest, segments=(more, *others)))
    assert [(p.file, p.severity) for p in check(library).problems] == [(first.path("secret.bin"), "derived")]
    assert_repaired(library, before)


def test_text_index_of_another_collection_is_not_used(library: Path, tmp_path: Path) -> None:
    before = ids_of(library)
    make(tmp_path / "other", text=True)
    shutil.rmtree(folder(library) / "text")
    shutil.copytree(folder(tmp_path / "other") / "text", folder(library) / "text")
    assert [(p.file, p.severity) for p in check(library).problems] == [("text", "derived")]
    assert_repaired(library, before)


def older_text_with(library: Path, change: Callable[[nearrow.Collection], object], *, back: bool) -> None:
    """Change the collection, then put the text index of before in the place of the new one, or the other way round."""
    copy = library.parent / "copy"
    shutil.copytree(folder(library) / "text" if not back else folder(library), copy)
    with nearrow.connect(library) as db:
        docs = db.collection("docs")
        change(docs)
        docs.search(text="row")
        docs.flush()
        docs.wait()
    if back:
        shutil.rmtree(copy / "text")
        shutil.copytree(folder(library) / "text", copy / "text")
        place = folder(library)
        shutil.rmtree(place)
        shutil.copytree(copy, place)
    else:
        shutil.rmtree(folder(library) / "text")
        shutil.copytree(copy, folder(library) / "text")


def test_older_text_index_catches_up(library: Path) -> None:
    older_text_with(library, lambda docs: (docs.delete(["id-8"]), docs.upsert(rows(300, 302))), back=False)
    before = ids_of(library)
    assert check(library).ok
    with nearrow.connect(library) as db:
        docs = db.collection("docs")
        assert docs.search(text="301")[0].id == "id-301"
        assert not len(docs.search(text="8"))
    assert ids_of(library) == before


def test_text_index_that_is_ahead_of_the_rows_is_found(library: Path) -> None:
    before = ids_of(library)
    older_text_with(library, lambda docs: (docs.delete(["id-77"]), docs.upsert(rows(300, 400))), back=True)
    assert [(p.file, p.severity) for p in check(library).problems] == [("text", "derived")]
    assert_repaired(library, before)


def test_both_manifests_damaged_is_said_and_changes_nothing(library: Path) -> None:
    for manifest in folder(library).glob("manifest-*"):
        flip(manifest, 100)
    before = sorted((path.name, path.stat().st_size) for path in folder(library).rglob("*"))
    with nearrow.connect(library) as db:
        for verb in (db.check_collection, db.repair_collection, db.collection):
            with pytest.raises(nearrow.CorruptionError, match="manifest"):
                verb("docs")
    assert sorted((path.name, path.stat().st_size) for path in folder(library).rglob("*")) == before


def test_damaged_collection_does_not_stop_the_others(library: Path) -> None:
    with nearrow.connect(library) as db:
        db.create_collection("other", 4).upsert(rows(0, 3))
    (docs,) = [path for path in (library / "collections").iterdir() if (path / "text").exists()]
    for manifest in docs.glob("manifest-*"):
        flip(manifest, 100)
    for read_only in (True, False):
        with nearrow.connect(library, read_only=read_only) as db:
            assert len(db.collection("other")) == 3
            with pytest.raises(nearrow.CorruptionError, match="manifest"):
                db.collection("docs")
    with nearrow.connect(library) as db:
        assert db.get_or_create_collection("other").config.dimension == 4
        with pytest.raises(nearrow.CorruptionError):  # it may be the one that is damaged
            db.create_collection("another", 4)
        db.drop_collection("other")


def test_manifest_survives_its_own_round(library: Path) -> None:
    manifest = newest(library)
    assert asdict(Manifest.from_bytes(manifest.to_bytes())) == asdict(manifest)


def test_log_of_another_collection_is_not_replayed(tmp_path: Path) -> None:
    for library in ("one", "other"):
        with nearrow.connect(tmp_path / library) as db:
            docs = db.create_collection("docs", 4)
            for n in range(3):
                docs.upsert([{"id": f"{library}-{n}", "vector": [1.0, 2.0, 3.0, 4.0]}])
    log, other = (max(folder(tmp_path / library).glob("log/*")) for library in ("one", "other"))
    log.write_bytes(other.read_bytes())
    (problem,) = check(tmp_path / "one").problems
    assert "belongs to another collection" in problem.what
    with nearrow.connect(tmp_path / "one") as db:
        with pytest.raises(nearrow.CorruptionError, match="another collection"):
            db.collection("docs")
        assert db.repair_collection("docs").records_lost == 3
        assert len(db.collection("docs")) == 0
