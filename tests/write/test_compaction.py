"""Compaction: does what was deleted go, does nothing else, and does nobody have to ask?"""

from __future__ import annotations

import errno
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import nearrow
from nearrow.collection import Collection
from nearrow.errors import StorageError
from nearrow.schema import CollectionConfig
from nearrow.storage.gc import LEASE
from nearrow.storage.local import LocalDirectory
from nearrow.testing.inline_background import InlineBackground
from nearrow.write.open import create, open_writer
from real_data import float32_matrix

SECRET = "xylophonequartz"


def make(path: Path, **settings: Any) -> LocalDirectory:
    directory = LocalDirectory(path)
    create(directory, CollectionConfig("docs", 2, metric="l2", memtable_rows=64, graph_rows_min=16, **settings))
    return directory


def rows(first: int, last: int) -> list[dict[str, Any]]:
    return [{"id": f"id-{n}", "vector": [float(n), 1.0]} for n in range(first, last)]


def files_with(path: Path, text: str) -> list[str]:
    """The files below a folder that hold the text, as it is or in lower case."""
    wanted = text.encode()
    return sorted(file.name for file in path.rglob("*") if file.is_file() and wanted in file.read_bytes().lower())


def write_secrets(docs: Collection) -> None:
    """Rows whose text must go: in a segment, in the log, in the text index; deleted, replaced and updated."""
    filler = [{"id": f"id-{n}", "vector": [float(n), 1.0], "text": f"words {n}", "note": "plain"} for n in range(200)]
    for number in (3, 70, 150):
        filler[number]["text"] = f"the {SECRET} {number}"
    filler[90]["note"] = f"a {SECRET}"
    docs.add(filler)
    docs.wait()
    docs.upsert([{"id": "late", "vector": [1.0, 1.0], "text": SECRET, "note": SECRET}])
    assert len(docs.search(text=SECRET)) == 4
    docs.wait()
    docs.delete(["late", "id-3"])
    docs.upsert([{"id": "id-70", "vector": [70.0, 1.0], "text": "harmless", "note": "plain"}])
    docs.update([{"id": "id-150", "text": "harmless"}, {"id": "id-90", "note": "plain"}])


def test_deleted_text_is_in_no_file_after_compaction(tmp_path: Path) -> None:
    with nearrow.connect(tmp_path) as database:
        docs = database.create_collection("docs", 2, metric="l2", text_fields=["text"], graph_rows_min=16)
        write_secrets(docs)
        assert files_with(tmp_path, SECRET), "the test looks where the text was"
        docs.compact()
        assert files_with(tmp_path, SECRET) == []
        assert len(docs.search(text=SECRET)) == 0
        assert docs.search(text="harmless").ids.tolist() == ["id-70", "id-150"]
        assert (docs.count(), docs.stats().dead) == (199, 0)
        assert docs.check().ok
    with nearrow.connect(tmp_path) as database:
        assert database.collection("docs").search(text="harmless").ids.tolist() == ["id-70", "id-150"]


def test_files_of_a_merge_go_when_the_reader_that_maps_them_lets_go(tmp_path: Path) -> None:
    with nearrow.connect(tmp_path) as database:
        docs = database.create_collection("docs", 2, metric="l2", memtable_rows=64, graph_rows_min=16)
        docs.add(rows(0, 100))
        docs.wait()
        store: Any = docs._store
        lease = store.core.directory.lock(LEASE, exclusive=False)
        docs.delete([f"id-{n}" for n in range(60)])
        docs.flush()
        docs.wait()
        assert len(docs.stats().segments) == 1
        folders = store.core.directory.list("segments")
        assert len(folders) > 1, "a reader may be mapping the old one"
        lease.release()
        docs.compact()
        assert len(store.core.directory.list("segments")) == 1


def test_merged_rows_keep_the_order_of_their_numbers(tmp_path: Path) -> None:
    directory = make(tmp_path)
    docs = Collection(open_writer(directory, background=InlineBackground))
    for first in (0, 10, 20, 30):
        docs.upsert(rows(first, first + 10))
        docs.flush()
    docs.upsert(rows(100, 200))  # a bulk segment: the fifth
    docs.upsert(rows(5, 25))
    docs.delete(["id-0", "id-39"])
    docs.compact()
    store: Any = docs._store
    (part,) = store.view.parts
    numbers = part.row_numbers_at(part.all_positions())
    assert (np.diff(numbers.astype(np.int64)) > 0).all()
    assert set(docs.to_arrow()["id"].to_pylist()) == {f"id-{n}" for n in [*range(1, 39), *range(100, 200)]}
    assert [docs.search([n, 1.0], k=1).ids[0] for n in (5, 24, 150)] == ["id-5", "id-24", "id-150"]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_memtable_of_an_hour_ago_is_sealed_and_small_segments_are_merged(tmp_path: Path) -> None:
    clock = Clock()
    docs = Collection(open_writer(make(tmp_path), background=partial(InlineBackground, clock=clock)))
    docs.upsert(rows(0, 5))
    clock.now = 3599.0
    docs.wait()
    assert (docs.stats().memtable_rows, len(docs.stats().segments)) == (5, 0)
    clock.now = 3600.0
    docs.wait()
    assert (docs.stats().memtable_rows, len(docs.stats().segments)) == (0, 1)
    docs.upsert(rows(5, 10))
    docs.flush()
    assert len(docs.stats().segments) == 2
    clock.now = 7200.0
    docs.wait()
    assert len(docs.stats().segments) == 1
    docs.close()


class FullDirectory(LocalDirectory):
    """A directory on a disk that is nearly full."""

    free = 1 << 10

    def free_bytes(self) -> int:
        return self.free


def test_merge_without_room_is_not_begun_and_says_what_it_needs(tmp_path: Path) -> None:
    make(tmp_path)
    directory = FullDirectory(tmp_path)
    docs = Collection(open_writer(directory, background=InlineBackground))
    docs.upsert(rows(0, 100))
    docs.delete(["id-1"])
    before = sorted(path for path in tmp_path.rglob("segments/*"))
    with pytest.raises(StorageError, match=r"needs [\d,]+ bytes of disk while it runs, and 1,024 are free") as caught:
        docs.compact()
    assert caught.value.errno == errno.ENOSPC
    assert sorted(path for path in tmp_path.rglob("segments/*")) == before
    docs.upsert(rows(100, 101))
    assert docs.search([100.0, 1.0], k=1).ids.tolist() == ["id-100"]
    FullDirectory.free = 1 << 40
    try:
        docs.compact()
    finally:
        FullDirectory.free = 1 << 10
    assert docs.stats().dead == 0
    docs.close()


def test_background_merge_without_room_waits_and_is_done_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path)
    docs = Collection(open_writer(FullDirectory(tmp_path)))
    docs.upsert(rows(0, 100))
    with pytest.raises(StorageError, match="are free"):
        docs.wait()
    assert "bytes of disk" in caplog.text
    assert docs.search([5.0, 1.0], k=1).ids.tolist() == ["id-5"]
    FullDirectory.free = 1 << 40
    try:
        docs.upsert(rows(100, 200))
        docs.wait()
        assert all(segment.graph is not None for segment in docs.stats().segments)
    finally:
        FullDirectory.free = 1 << 10
    docs.close()


def test_writing_and_reading_go_on_while_a_compaction_runs(tmp_path: Path, wordnet_10k: pa.Table) -> None:
    """The compaction may end only after a write and a search that began when it was under way."""
    vectors = float32_matrix(wordnet_10k)
    with nearrow.connect(tmp_path) as database:
        docs = database.create_collection("docs", 384)
        docs.add(wordnet_10k)
        docs.wait()
        docs.delete(wordnet_10k["id"].slice(0, 1000).combine_chunks())
        under_way, went_on = threading.Event(), threading.Event()

        def progress(done: int, total: int) -> None:
            under_way.set()
            assert went_on.wait(60)

        store: Any = docs._store
        compacting = threading.Thread(target=store.compact, args=(progress,))
        compacting.start()
        assert under_way.wait(60)
        docs.upsert(ids=["fresh"], vectors=vectors[:1])
        docs.delete(wordnet_10k["id"].slice(1000, 10).combine_chunks())
        assert docs.search(vectors[0], k=1).ids.tolist() == ["fresh"]
        went_on.set()
        compacting.join()
        assert docs.count() == len(wordnet_10k) - 1010 + 1
        assert docs.search(vectors[0], k=1).ids.tolist() == ["fresh"]
        assert docs.search(vectors[1005], k=1).ids[0] != wordnet_10k["id"][1005].as_py()
