"""Texts: does the text index follow the rows, whatever happens to either?"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import nearrow
from nearrow.collection import Collection
from nearrow.index.text import TextIndex
from nearrow.write.texts import FRESH_ROWS_MAX, WriterTexts
from nearrow.write.writer import Writer

CHILD = Path(__file__).with_name("texts_child.py")


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "library")


@pytest.fixture
def docs(folder: str) -> Iterator[Collection]:
    with nearrow.connect(folder) as db:
        yield db.create_collection("docs", 2, text_fields=["text"], memtable_rows=5000)


def write_rows(docs: Collection, first: int, count: int, word: str = "every") -> None:
    names = [f"id{n}" for n in range(first, first + count)]
    docs.upsert(
        ids=names, vectors=np.ones((count, 2), "f"), texts=[f"{word} n{n}" for n in range(first, first + count)]
    )


def found(docs: Collection, text: str) -> set[str]:
    return set(docs.search(text=text, k=10_000, columns=[]).ids.tolist())


def names(*numbers: int) -> set[str]:
    return {f"id{n}" for n in numbers}


def texts_of(docs: Collection) -> WriterTexts:
    store = docs._store
    assert isinstance(store, Writer)
    assert store.texts is not None
    return store.texts


def text_folder(folder: str) -> Path:
    return next(Path(folder).rglob("text"))


def committed_rows(folder: str, docs: Collection) -> int:
    index = TextIndex.open(
        str(text_folder(folder)), texts_of(docs)._fields, read_only=True, identity=docs._store.manifest.uuid
    )
    return index.watermark


def test_a_fresh_row_is_found_and_a_deleted_one_is_not(docs: Collection) -> None:
    for n in range(5):
        write_rows(docs, n, 1)
        assert found(docs, f"n{n}") == names(n)
    docs.delete(ids=["id3"])
    docs.upsert(ids=["id4"], vectors=[[1.0, 1.0]], texts=["another"])
    assert found(docs, "every") == names(0, 1, 2)
    assert found(docs, "another") == names(4)
    assert found(docs, "n3 n4") == set()


def test_a_few_fresh_rows_are_not_committed_and_many_are(docs: Collection, folder: str) -> None:
    write_rows(docs, 0, 10)
    assert len(found(docs, "every")) == 10
    assert committed_rows(folder, docs) == 0
    write_rows(docs, 10, FRESH_ROWS_MAX)
    assert len(found(docs, "every")) == FRESH_ROWS_MAX + 10
    assert committed_rows(folder, docs) == FRESH_ROWS_MAX + 10


def test_a_fresh_row_scores_as_if_it_were_in_the_index(docs: Collection) -> None:
    write_rows(docs, 0, 50, "common")
    docs.upsert(ids=["rare"], vectors=[[1.0, 1.0]], texts=["rare n"])
    docs.wait()
    docs.upsert(ids=["fresh"], vectors=[[1.0, 1.0]], texts=["common rare"])
    before = docs.search(text="common rare", k=3)
    docs.wait()
    after = docs.search(text="common rare", k=3)
    assert before.ids.tolist() == after.ids.tolist()
    assert after.ids[0] == "fresh"
    np.testing.assert_allclose(before.scores, after.scores, atol=0.05)  # the average length differs


def test_a_full_disk_stops_the_index_but_no_search(docs: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(docs, 0, 10)
    docs.wait()
    index = texts_of(docs)._index
    assert index is not None

    def full(*_: object) -> None:
        raise nearrow.StorageError("no space left")

    monkeypatch.setattr(index, "commit", full)
    write_rows(docs, 10, FRESH_ROWS_MAX + 1)
    docs.delete(ids=["id3"])
    assert len(found(docs, "every")) == FRESH_ROWS_MAX + 10
    with pytest.raises(nearrow.StorageError, match="no space"):
        docs.wait()
    monkeypatch.undo()
    docs.wait()
    assert index.view.rows == FRESH_ROWS_MAX + 10
    assert len(found(docs, "every")) == FRESH_ROWS_MAX + 10


def test_wait_leaves_nothing_to_be_indexed(docs: Collection, folder: str) -> None:
    write_rows(docs, 0, 12_000)  # a bulk load
    docs.delete(ids=["id7"])
    docs.wait()
    assert not texts_of(docs).behind
    assert committed_rows(folder, docs) == 12_000
    assert found(docs, "n7") == set()
    assert texts_of(docs)._index is not None
    assert texts_of(docs)._index.view.rows == 11_999
    assert texts_of(docs).nbytes > 0
    assert texts_of(docs).check() == []


def test_rows_written_beside_a_bulk_load_are_found_at_once(docs: Collection) -> None:
    write_rows(docs, 0, 3)
    begun, go_on = threading.Event(), threading.Event()
    schema = pa.schema([("id", pa.string()), ("vector", pa.list_(pa.float32(), 2)), ("text", pa.string())])

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(1000, 9000, 4000):
            ids = [f"id{n}" for n in range(start, start + 4000)]
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(8000, "f")), 2)
            yield pa.record_batch([pa.array(ids), vectors, pa.array(["bulk"] * 4000)], schema=schema)
        begun.set()
        assert go_on.wait(30)

    loader = threading.Thread(target=lambda: docs.add(pa.RecordBatchReader.from_batches(schema, batches())))
    loader.start()
    assert begun.wait(30)
    try:
        write_rows(docs, 10, 3)
        assert found(docs, "every") == names(0, 1, 2, 10, 11, 12)
        docs.delete(ids=["id11"])
        assert found(docs, "every") == names(0, 1, 2, 10, 12)
        assert found(docs, "bulk") == set()
    finally:
        go_on.set()
        loader.join()
    assert len(found(docs, "bulk")) == 8000
    docs.wait()
    assert found(docs, "every") == names(0, 1, 2, 10, 12)
    assert len(found(docs, "bulk")) == 8000


def test_a_refused_bulk_load_leaves_an_index_that_is_used_again(folder: str) -> None:
    with nearrow.connect(folder) as db:
        docs = db.create_collection("docs", 2, text_fields=["text"], memtable_rows=100)
        write_rows(docs, 0, 50)
        with pytest.raises(nearrow.AlreadyExistsError):
            docs.add(ids=[f"id{n}" for n in range(500)], vectors=np.ones((500, 2), "f"), texts=["no"] * 500)
        docs.wait()  # row numbers of the refused rows are given again after reopening
    with nearrow.connect(folder) as db:
        docs = db.collection("docs")
        write_rows(docs, 100, 60)
        assert found(docs, "every") == names(*range(50), *range(100, 160))
        docs.wait()
        assert found(docs, "every") == names(*range(50), *range(100, 160))


def test_deaths_after_the_last_commit_are_found_again_without_a_rebuild(
    folder: str, caplog: pytest.LogCaptureFixture
) -> None:
    with nearrow.connect(folder) as db:
        docs = db.create_collection("docs", 2, text_fields=["text"])
        write_rows(docs, 0, 100)
        docs.wait()
        docs.delete(ids=["id5", "id6"])
        docs.flush()  # the log, and with it the deaths, are gone
        docs.close(wait=False)
    with nearrow.connect(folder) as db:
        docs = db.collection("docs")
        docs.wait()
        texts = texts_of(docs)
        assert texts._index is not None
        assert texts._index.view.rows == 98
        assert found(docs, "n5 n6 n7") == names(7)
    assert "rebuilt" not in caplog.text


def test_compaction_changes_nothing(docs: Collection) -> None:
    for start in range(0, 40, 10):
        write_rows(docs, start, 10)
        docs.delete(ids=[f"id{start + 3}"])
        docs.flush()
    docs.wait()  # rows that are not in the index yet are weighed by lengths of their own (decision 064)
    before = docs.search(text="every n5 n17", k=40)
    docs.compact()
    docs.wait()
    after = docs.search(text="every n5 n17", k=40)
    assert before.ids.tolist() == after.ids.tolist()
    assert len(after) == 36


def test_a_lost_folder_is_built_again_and_shows_it(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    with nearrow.connect(folder) as db:
        write_rows(db.create_collection("docs", 2, text_fields=["text"]), 0, 3000)
        db.collection("docs").wait()
    shutil.rmtree(text_folder(folder))
    with nearrow.connect(folder) as db:
        db.collection("docs").wait(progress=True)
        assert "indexing the texts of docs" in capsys.readouterr().err
        assert len(found(db.collection("docs"), "every")) == 3000


@pytest.mark.parametrize("life", ["writer", "reader"])
def test_any_damage_to_the_folder_changes_no_answer(folder: str, tmp_path: Path, life: str) -> None:
    with nearrow.connect(folder) as db:
        docs = db.create_collection("docs", 2, text_fields=["text"])
        write_rows(docs, 0, 40)
        docs.wait()
        docs.delete(ids=["id4"])
        write_rows(docs, 40, 5)
        docs.wait()
    expected = {text: names(*numbers) for text, numbers in {
        "every": [n for n in range(45) if n != 4], "n4": [], "n41": [41], '"every n7"': [7], "n1*": [1, *range(10, 20)],
    }.items()}  # fmt: skip
    dice = random.Random(5)
    files = [file for file in sorted(text_folder(folder).iterdir()) if file.stat().st_size]
    for file in files:
        content = file.read_bytes()
        for damage in ("gone", "cut", *dice.sample(range(len(content)), min(2, len(content)))):
            broken = tmp_path / f"{file.name}-{damage}"  # a new one: threads may still look into the last one
            shutil.copytree(folder, broken)
            target = broken / file.relative_to(folder)
            if damage == "gone":
                target.unlink()
            elif damage == "cut":
                target.write_bytes(content[: len(content) // 2])
            else:
                assert isinstance(damage, int)
                flipped = bytes([content[damage] ^ (1 << dice.randrange(8))])
                target.write_bytes(content[:damage] + flipped + content[damage + 1 :])
            with nearrow.connect(str(broken), read_only=life == "reader") as db:
                docs = db.collection("docs")
                for text, ids in expected.items():
                    assert found(docs, text) == ids, (file.name, damage, text)


def test_damage_that_a_search_meets_is_repaired(docs: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(docs, 0, 10)
    docs.wait()
    texts = texts_of(docs)
    broken = texts._index
    assert broken is not None
    calls = 0

    def fail(*_: object) -> None:
        nonlocal calls
        calls += 1
        raise ValueError("bad block")

    view = broken.view
    monkeypatch.setattr(type(view), "_hits", fail, raising=True)
    restore = threading.Event()
    original = texts.rebuild

    def rebuild() -> None:
        monkeypatch.undo()
        restore.set()
        original()

    monkeypatch.setattr(texts, "rebuild", rebuild)
    from nearrow.index.text.view import native

    monkeypatch.setattr(type(view), "_hits", lambda self, *rest: native(lambda: fail(*rest)))
    assert found(docs, "every") == names(*range(10))
    assert restore.is_set()
    assert calls == 1


def test_a_reader_sees_rows_and_texts_of_one_moment(docs: Collection, folder: str) -> None:
    write_rows(docs, 0, 20)
    docs.wait()
    with nearrow.connect(folder, read_only=True) as db:
        reader = db.collection("docs")
        assert found(reader, "every") == names(*range(20))
        write_rows(docs, 0, 10, "changed")
        write_rows(docs, 20, 5)
        docs.wait()  # the index no longer holds the first ten as they were
        assert found(reader, "every") == names(*range(20))
        assert found(reader, "changed") == set()
        reader.refresh()
        assert found(reader, "every") == names(*range(10, 25))
        assert found(reader, "changed") == names(*range(10))
        write_rows(docs, 25, 2)
        reader.refresh()
        assert found(reader, "every") == names(*range(10, 27))
        shutil.rmtree(text_folder(folder))  # a writer that rebuilds
        reader.refresh()
        assert found(reader, "every") == names(*range(10, 27))


def test_a_reader_opened_between_commits_misses_nothing(docs: Collection, folder: str) -> None:
    write_rows(docs, 0, 20)
    docs.wait()
    write_rows(docs, 5, 3, "later")
    with nearrow.connect(folder, read_only=True) as db:
        assert found(db.collection("docs"), "later") == names(5, 6, 7)
        assert found(db.collection("docs"), "every") == names(*(n for n in range(20) if n not in (5, 6, 7)))


def test_a_killed_writer_loses_no_hit_and_shows_no_dead_row(folder: str) -> None:
    """The child prints the last change that was acknowledged; it is killed while it commits texts."""
    dice = random.Random(11)
    acknowledged = 0
    for _ in range(4):
        child = subprocess.Popen([sys.executable, str(CHILD), folder], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for _ in range(dice.randrange(2, 8)):
            acknowledged = int(child.stdout.readline())
        try:
            child.wait(timeout=dice.random() * 0.05)
        except subprocess.TimeoutExpired:
            child.kill()
        rest = child.communicate()[0].split()
        assert child.returncode == -9
        acknowledged = int(rest[-1]) if rest else acknowledged
        with nearrow.connect(folder, read_only=True) as db:
            assert_state(db.collection("docs"), acknowledged)
        with nearrow.connect(folder) as db:
            assert_state(db.collection("docs"), acknowledged)
            db.collection("docs").wait()
            assert_state(db.collection("docs"), acknowledged)


def assert_state(docs: Collection, acknowledged: int) -> None:
    rows = {row["id"]: row["text"] for row in docs.to_arrow().select(["id", "text"]).to_pylist()}
    assert f"id{acknowledged - 1}" in rows
    assert found(docs, "every") == set(rows)
    for word in ("old", "new"):
        assert found(docs, word) == {name for name, text in rows.items() if word in text.split()}
    assert found(docs, f"n{acknowledged - 1}") == names(acknowledged - 1)
