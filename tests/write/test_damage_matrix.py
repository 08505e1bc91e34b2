"""Damage: each kind of file × each kind of damage. Is it found, and is what repair() says true?"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from damage import folder, largest, make, overwrite, rows

import nearrow
from nearrow.write.report import Repair, Report

Harm = Callable[[Path, Path], None]

# ---- the ways of harming a file: (the file, the other one of its kind)


def remove(path: Path, other: Path) -> None:
    path.unlink()


def cut(path: Path, other: Path) -> None:
    overwrite(path, path.read_bytes()[:-9])


def empty(path: Path, other: Path) -> None:
    overwrite(path, b"")


def zero_a_page(path: Path, other: Path) -> None:
    data = path.read_bytes()
    starts = [start for start in range(0, len(data), 4096) if any(data[start : start + 4096])]
    start = starts[len(starts) // 2]
    overwrite(path, data[:start] + bytes(len(data[start : start + 4096])) + data[start + 4096 :])


def flip_a_bit(path: Path, other: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    overwrite(path, bytes(data))


def swap(path: Path, other: Path) -> None:
    mine, others = path.read_bytes(), other.read_bytes()
    assert mine != others
    overwrite(path, others)
    overwrite(other, mine)


def lengthen(path: Path, other: Path) -> None:
    overwrite(path, path.read_bytes() + bytes(64))


HARMS: dict[str, Harm] = {
    "missing": remove,
    "cut": cut,
    "empty": empty,
    "zeroed page": zero_a_page,
    "flipped bit": flip_a_bit,
    "swapped": swap,
    "longer": lengthen,
}

SEGMENT_FILES = {
    "rows.arrow": "rows",
    "ids.bin": "derived",
    "zones.arrow": "derived",
    "graph.bin": "derived",
    "deletes-*": "rows",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that nobody has open: two segments with graphs and deletes, rows in the log, a text index."""
    library = tmp_path_factory.mktemp("whole") / "library"
    make(library, text=True)
    with nearrow.connect(library) as db:
        docs = db.collection("docs")
        docs.delete(["id-201", "id-202"])
        docs.flush()
        docs.wait()
        docs.upsert([{"id": "id-7", "vector": [7.0, 1.0, 2.0, 3.0], "text": "row 7 anew"}])
        assert docs.search(text="anew")[0].id == "id-7"
        assert len(list(folder(library).glob("segments/*/deletes-*"))) >= 2
    return library


@pytest.fixture
def library(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "library"))


def contents(library: Path) -> dict[str, dict[str, object]]:
    with nearrow.connect(library, read_only=True) as db:
        rows = db.collection("docs").to_arrow().to_pylist()
    assert len({row["id"] for row in rows}) == len(rows), "an id is there twice"
    return {row["id"]: row for row in rows}


def pair(library: Path, pattern: str) -> tuple[Path, Path]:
    """The larger one's file, and the same file of another segment."""
    first, *others = sorted(folder(library).glob(pattern), key=lambda path: -path.stat().st_size)
    return first, next((path for path in others if path.parent != first.parent), first)


def check(library: Path) -> Report:
    with nearrow.connect(library, read_only=True) as db:
        return db.check_collection("docs")


def assert_truthful(done: Repair, before: dict[str, dict[str, object]], library: Path) -> None:
    """What is gone, what came back and what changed is what the repair said, no more and no less."""
    after = contents(library)
    gone, back = set(before) - set(after), set(after) - set(before)
    assert len(gone) == done.rows_lost, f"{gone}\n{done}"
    assert len(back) == done.deletes_lost, f"{back}\n{done}"
    named = {row_id for lost in done.lost for row_id in lost.ids}
    assert not done.lost or named <= gone
    changed = {row_id for row_id in set(before) & set(after) if before[row_id] != after[row_id]}
    assert len(changed) <= done.unverified_rows, f"{changed}\n{done}"


def assert_sound(library: Path) -> None:
    with nearrow.connect(library) as db:
        docs = db.collection("docs")
        docs.wait()
        report = docs.check()
        assert report.ok, str(report)
        ids = docs.to_arrow()["id"].to_pylist()
        assert docs.search([150.0, 1.0, 2.0, 3.0], k=1)[0].id in ids
        docs.upsert([{"id": "new", "vector": [0.0, 0.0, 0.0, 0.0], "text": "novel"}])
        assert docs.search(text="novel")[0].id == "new"
        docs.compact()
        assert set(docs.to_arrow()["id"].to_pylist()) == {*ids, "new"}
    assert check(library).ok


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("kind", SEGMENT_FILES)
def test_harmed_file_of_a_segment(library: Path, kind: str, harm: str) -> None:
    before = contents(library)
    path, other = pair(library, f"segments/*/{kind}")
    HARMS[harm](path, other)
    harmed = {path.relative_to(folder(library)).as_posix()}
    harmed |= {other.relative_to(folder(library)).as_posix()} if harm == "swapped" else set()
    report = check(library)
    assert {(problem.file, problem.severity) for problem in report.problems} == {
        (name, SEGMENT_FILES[kind]) for name in harmed
    }
    with nearrow.connect(library) as db:
        done = db.repair_collection("docs")
    if SEGMENT_FILES[kind] == "derived":
        assert (done.rows_lost, done.unverified_rows, done.deletes_lost, done.records_lost) == (0, 0, 0, 0)
        assert set(done.rebuilt) == harmed
    assert_truthful(done, before, library)
    assert_sound(library)


@pytest.mark.parametrize("harm", [harm for harm in HARMS if harm != "swapped"])
@pytest.mark.parametrize("kind", ["meta.json", "*.store", "*.term", "*.fast", "*.idx", "*.fieldnorm"])
def test_harmed_file_of_the_text_index(library: Path, kind: str, harm: str) -> None:
    before = contents(library)
    path = largest(library, f"text/{kind}")
    HARMS[harm](path, path)
    report = check(library)
    assert {(problem.file, problem.severity) for problem in report.problems} == {("text", "derived")}
    with nearrow.connect(library) as db:
        done = db.repair_collection("docs")
    assert done.rebuilt == ("text",)
    assert (done.rows_lost, done.unverified_rows, done.deletes_lost, done.records_lost) == (0, 0, 0, 0)
    assert contents(library) == before
    assert_sound(library)


@pytest.mark.parametrize("harm", [harm for harm in HARMS if harm != "swapped"])
@pytest.mark.parametrize("which", ["newest", "older"])
def test_harmed_manifest(library: Path, which: str, harm: str) -> None:
    before = contents(library)
    older, newest = sorted(folder(library).glob("manifest-*"))
    path = newest if which == "newest" else older
    if which == "older" and harm == "missing":
        return
    HARMS[harm](path, path)
    report = check(library)
    assert [problem.file for problem in report.problems] == [path.name]
    with nearrow.connect(library) as db:
        done = db.repair_collection("docs")
    if which == "older":
        assert contents(library) == before
    assert_truthful(done, before, library)
    assert_sound(library)


@pytest.mark.parametrize("harm", ["missing", "empty", "zeroed page"])
def test_harmed_log(library: Path, harm: str) -> None:
    path = max(folder(library).glob("log/*"))
    if harm == "zeroed page":  # the records; the pages behind them are zeros already
        data = path.read_bytes()
        path.write_bytes(data[:64] + bytes(4096) + data[64 + 4096 :])
    else:
        HARMS[harm](path, path)
    assert {problem.severity for problem in check(library).problems} == {"rows"}
    with nearrow.connect(library) as db:
        done = db.repair_collection("docs")
    assert done.records_lost == 1, str(done)
    assert_sound(library)


@pytest.mark.parametrize("harm", ["cut", "longer"])
def test_end_of_the_log_that_nobody_wrote_is_not_missed(library: Path, harm: str) -> None:
    before = contents(library)
    path = max(folder(library).glob("log/*"))
    HARMS[harm](path, path)
    assert check(library).ok
    assert contents(library) == before
    assert_sound(library)


def test_log_with_a_damaged_record_in_its_middle(tmp_path: Path) -> None:
    with nearrow.connect(tmp_path) as db:
        docs = db.create_collection("docs", 4, metric="l2")
        for n in range(9):
            docs.upsert(rows(n, n + 1))
        docs.delete(["id-0"])
    path = max(folder(tmp_path).glob("log/*"))
    data = bytearray(path.read_bytes())
    data[data.index(b"id-4")] ^= 1
    path.write_bytes(bytes(data))
    (problem,) = check(tmp_path).problems
    assert problem.severity == "rows"
    assert "record 5" in problem.what
    with nearrow.connect(tmp_path) as db:
        done = db.repair_collection("docs")
    assert (done.records_lost, done.rows_lost) == (6, 0)
    assert set(contents(tmp_path)) == {f"id-{n}" for n in range(4)}
    assert check(tmp_path).ok


def test_damaged_row_number_costs_no_row(library: Path) -> None:
    before = contents(library)
    path = largest(library, "segments/*/rows.arrow")
    data = path.read_bytes()
    number = (150).to_bytes(8, "little")
    where = data.index((149).to_bytes(8, "little") + number) + 8
    path.write_bytes(data[: where + 1] + b"\x77" + data[where + 2 :])
    with nearrow.connect(library) as db:
        done = db.repair_collection("docs")
    assert (done.rows_lost, done.unverified_rows) == (0, 198)
    assert contents(library) == before
    assert_sound(library)


def test_damaged_id_is_not_believed_while_the_id_table_is_sound(library: Path) -> None:
    before = contents(library)
    path = largest(library, "segments/*/rows.arrow")
    data = path.read_bytes()
    path.write_bytes(data.replace(b"id-150", b"id-15\xf0", 1))  # no text at all
    changed = data.replace(b"id-151", b"id-15x", 1)
    other = Path(shutil.copytree(library, library.parent / "other"))
    largest(other, "segments/*/rows.arrow").write_bytes(changed)
    for damaged, lost in ((library, "id-150"), (other, "id-151")):
        with nearrow.connect(damaged) as db:
            done = db.repair_collection("docs")
        place = int(lost.removeprefix("id-"))
        assert [(one.rows, one.places) for one in done.lost] == [(1, ((place, place),))]
        assert set(before) - set(contents(damaged)) == {lost}
        assert not set(contents(damaged)) - set(before)


def test_rows_and_bitmap_damaged_together_are_not_counted_twice(library: Path) -> None:
    before = contents(library)
    path = largest(library, "segments/*/rows.arrow")
    path.unlink()
    flip_a_bit(next(path.parent.glob("deletes-*")), path)
    with nearrow.connect(library) as db:
        done = db.repair_collection("docs")
    assert done.rows_lost > 0
    assert_truthful(done, before, library)


@pytest.mark.parametrize("mark", ["WATERMARK", "GENERATION"])
@pytest.mark.parametrize("harm", ["missing", "empty", "flipped bit"])
def test_harmed_mark_is_a_hint_that_is_lost(library: Path, mark: str, harm: str) -> None:
    before = contents(library)
    path = folder(library) / mark
    HARMS[harm](path, path)
    assert contents(library) == before
    with nearrow.connect(library) as db:
        assert not db.repair_collection("docs").changed
    assert_sound(library)


def test_older_version_of_a_file_in_the_place_of_the_new_one(tmp_path: Path) -> None:
    with nearrow.connect(tmp_path / "library") as db:
        docs = db.create_collection("docs", 4, metric="l2", graph_rows_min=8, memtable_rows=64, text_fields=["text"])
        docs.upsert(rows(0, 100))
        docs.wait()
        docs.delete(["id-3"])
        docs.flush()
        old_bitmap = next(folder(tmp_path / "library").glob("segments/*/deletes-*")).read_bytes()
        docs.delete(["id-4"])
        docs.flush()
        docs.upsert(rows(100, 101))
        old_log = max(folder(tmp_path / "library").glob("log/*")).read_bytes()
        docs.upsert(rows(101, 102))
    before = contents(tmp_path / "library")

    def put(name: str, pattern: str, data: bytes | None) -> Path:
        library = Path(shutil.copytree(tmp_path / "library", tmp_path / name))
        older, newest = (min(folder(library).glob(pattern)), max(folder(library).glob(pattern)))
        newest.write_bytes(older.read_bytes() if data is None else data)
        assert {problem.severity for problem in check(library).problems} == {"rows"}
        return library

    for library, back, gone in (
        (put("bitmap", "segments/*/deletes-*", old_bitmap), {"id-4"}, set()),
        (put("log", "log/*", old_log), set(), {"id-101"}),
        (put("manifest", "manifest-*", None), set(), set()),
    ):
        with nearrow.connect(library) as db:
            done = db.repair_collection("docs")
        assert set(contents(library)) == (set(before) | back) - gone, str(done)
        assert (done.deletes_lost, done.records_lost, done.rows_lost) == (len(back), len(gone), 0), str(done)
        assert_sound(library)
