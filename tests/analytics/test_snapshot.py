"""Snapshots: does one version of a collection come back whole, and is anything else refused?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import nearrow
from nearrow.analytics.snapshot_metadata import SnapshotMetadata
from nearrow.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    NotFoundError,
    ReadOnlyError,
)

DIMENSION = 8


def vectors(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)


def segment_count(collection: nearrow.Collection) -> int:
    return len(collection._view().parts)


def has_graph(collection: nearrow.Collection) -> bool:
    return all(part.graph is not None for part in collection._view().parts)


def assert_same_rows(left: nearrow.Collection, right: nearrow.Collection) -> None:
    assert left.schema.equals(right.schema)
    assert left.to_arrow().sort_by("id").equals(right.to_arrow().sort_by("id"))


# ---- there and back


def test_what_is_restored_has_the_batches_that_it_was_decoded_in(
    db: nearrow.Database, docs: nearrow.Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs.compact()
    for row_group_rows in (32, 100, 1000):  # batches that end with the row groups, batches that do not, one row group
        docs.snapshot(tmp_path / f"by {row_group_rows}", row_group_rows=row_group_rows)
        monkeypatch.setattr("nearrow.write.restore.BATCH_BYTES", 64 * 4 * DIMENSION)
        back = db.restore(tmp_path / f"by {row_group_rows}", f"back{row_group_rows}")
        assert [len(batch) for batch in back._view().parts[0].batches] == [64] * 6 + [16]
        assert has_graph(back)
        assert_same_rows(docs, back)


def test_every_type_comes_back(db: nearrow.Database, tmp_path: Path) -> None:
    everything = db.create_collection("Ünïcode ❤", DIMENSION, metric="l2", text_fields=["text"])
    full = {
        "flag": True,
        "whole": 2**53 + 1,
        "real": 0.1,
        "name": "Zürich 東京 🐝\0",
        "moment": datetime(2024, 2, 29, 12, 30, 0, 123456, tzinfo=UTC),
        "local": datetime(1969, 12, 31, 23, 59),
        "day": date(1815, 6, 18),
        "tags": ["a", "", None],
        "place": {"city": "Zürich", "at": {"x": 1.5, "names": ["p", None]}},
        "people": [{"name": "Ada", "born": 1815}, None],
        "none_yet": None,
    }
    everything.add(ids=["full", "empty"], vectors=vectors(2), texts=["τέξτ", None], metadata=[full, {}])
    everything.flush()
    everything.add(ids=["later"], vectors=vectors(1, 1), texts=[""], metadata=[{"place": {"zip": 8001}, "new": 1}])
    everything.snapshot(tmp_path / "out")
    back = db.restore(tmp_path / "out", name="back")
    assert_same_rows(back, everything)
    assert back.get(["full"]).to_pylist() == everything.get(["full"]).to_pylist()
    assert replace(back.config, name=everything.name) == everything.config


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("metric", ["l2", "cosine", "dot"])
def test_graph_comes_back_as_it_was(db: nearrow.Database, tmp_path: Path, metric: str, dtype: str) -> None:
    docs = db.create_collection("docs", DIMENSION, metric=metric, dtype=dtype, graph_rows_min=100)
    docs.add(ids=range(500), vectors=vectors(500).astype(dtype))
    docs.compact()
    docs.snapshot(tmp_path / "out")
    back = db.restore(tmp_path / "out", name="back")
    old, new = docs._view().parts[0].graph, back._view().parts[0].graph
    assert old is not None
    assert new is not None
    assert old.buffer.equals(new.buffer)
    assert new.check() == []
    for query in vectors(5, 9):
        assert docs.search(query, k=7).ids.tolist() == back.search(query, k=7).ids.tolist()


def test_several_segments_and_dead_rows_come_back_and_the_graph_is_built_again(
    db: nearrow.Database, docs: nearrow.Collection, tmp_path: Path
) -> None:
    docs.compact()
    docs.delete(["row 3", "row 5"])
    docs.upsert(ids=["row 7"], vectors=vectors(1, 7), texts=["seven"], metadata=[{"n": -7}])
    docs.snapshot(tmp_path / "out")
    assert not (tmp_path / "out" / "graph").exists()
    back = db.restore(tmp_path / "out", name="back")
    assert segment_count(back) == 2
    back.compact()
    assert has_graph(back)
    assert_same_rows(back, docs)
    assert back.search(text="seven", k=1)[0].id == "row 7"


def test_restored_collection_is_written_to_and_opened_again(
    db: nearrow.Database, docs: nearrow.Collection, tmp_path: Path
) -> None:
    docs.compact()
    docs.snapshot(tmp_path / "out")
    with nearrow.connect(tmp_path / "elsewhere") as other:
        back = other.restore(tmp_path / "out")
        assert back.name == "docs"
        back.add(ids=["new"], vectors=vectors(1, 3), texts=["new"], metadata=[{"n": 1}])
        back.delete(["row 0"])
    with nearrow.connect(tmp_path / "elsewhere") as other:
        again = other.collection("docs")
        assert len(again) == 400
        assert "new" in again
        assert again.search(vectors(1, 3)[0], k=1)[0].id == "new"
        assert again._store.manifest.next_row == 400  # type: ignore[union-attr]


def test_an_empty_collection_comes_back(db: nearrow.Database, tmp_path: Path) -> None:
    empty = db.create_collection("empty", DIMENSION, text_fields=["text"])
    empty.snapshot(tmp_path / "out")
    back = db.restore(tmp_path / "out", name="back")
    assert len(back) == 0
    back.add(ids=[1], vectors=vectors(1), texts=["x"])
    assert len(back) == 1


def test_memory_collection_is_saved_to_disk(tmp_path: Path) -> None:
    with nearrow.connect(":memory:") as memory:
        memory.create_collection("docs", 2).add(ids=[1], vectors=[[1, 2]])
        memory.collection("docs").snapshot(f"file://{tmp_path}/with%20space")
        assert memory.restore(tmp_path / "with space", "docs2").get([1]).num_rows == 1


# ---- what is in the files


def test_tables_are_plain_parquet(docs: nearrow.Collection, tmp_path: Path) -> None:
    docs.compact()
    docs.snapshot(tmp_path / "out", compression="zstd", row_group_rows=150, data_page_bytes=1000)
    (path,) = (tmp_path / "out" / "vectors.parquet").iterdir()
    file = pq.ParquetFile(path)
    assert file.num_row_groups == 3
    columns = {file.metadata.row_group(0).column(i).path_in_schema: i for i in range(file.metadata.num_columns)}
    vector = file.metadata.row_group(0).column(columns["vector.list.element"])
    assert vector.compression == "ZSTD"
    assert "BYTE_STREAM_SPLIT" in vector.encodings
    assert file.read().equals(docs.to_arrow())
    for name in ("neighbors", "layers", "metadata"):
        assert pq.read_table(tmp_path / "out" / f"{name}.parquet").num_rows > 0


def test_neighbours_are_near_alive_rows(docs: nearrow.Collection, tmp_path: Path) -> None:
    docs.compact()
    docs.delete([f"row {n}" for n in range(50)])
    docs.snapshot(tmp_path / "out")
    rows = pq.read_table(tmp_path / "out" / "vectors.parquet")
    matrix = np.stack(rows.column("vector").to_pylist())
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    near, far = [], []
    neighbors = pq.read_table(tmp_path / "out" / "neighbors.parquet").to_pylist()
    assert sorted(item["row"] for item in neighbors) == list(range(350))
    for item in neighbors:
        assert item["row"] not in item["neighbors"]
        similar = matrix @ matrix[item["row"]]
        near.append(similar[item["neighbors"]].mean())
        far.append(similar.mean())
    assert np.mean(near) > np.mean(far) + 0.2
    for item in pq.read_table(tmp_path / "out" / "layers.parquet").to_pylist():
        assert item["level"] >= 1
        assert all(0 <= row < 350 for row in item["neighbors"])


def test_snapshot_is_queried_where_it_lies(docs: nearrow.Collection, tmp_path: Path) -> None:
    docs.delete(["row 0"])
    path = tmp_path / "it's [a]*"
    docs.snapshot(path)
    query: Callable[..., Any] = nearrow.query_snapshot
    assert query(path, "SELECT count(*) AS c FROM docs WHERE n > ?", [10], format="json") == '[{"c": 389}]'
    nearest = "SELECT id FROM vectors ORDER BY array_distance(vector, $q::FLOAT[8]) LIMIT 1"
    assert query(path, nearest, {"q": vectors(400)[9]}).to_pylist() == [{"id": "row 9"}]
    assert query(path, "SELECT name, rows FROM metadata").to_pylist() == [{"name": "docs", "rows": 399}]
    for refused in (
        "COPY docs TO 'x.csv'",
        f"COPY (SELECT 1) TO '{tmp_path}/x.csv'",
        "SELECT * FROM read_csv('/etc/passwd')",
        f"SELECT * FROM glob('{tmp_path}/*')",
        "SELECT 1; DROP VIEW docs",
        "",
    ):
        with pytest.raises(InvalidArgumentError):
            query(path, refused)


# ---- while others write


def test_snapshot_while_threads_write_equals_one_version(db: nearrow.Database, tmp_path: Path) -> None:
    docs = db.create_collection("docs", DIMENSION, durability="off", memtable_rows=64, graph_rows_min=50)
    docs.add(ids=range(100), vectors=vectors(100), metadata=[{"version": 0}] * 100)
    stop = threading.Event()

    def write(seed: int) -> None:
        version = seed
        while not stop.is_set():  # one version is the same value in all rows
            docs.upsert(ids=range(100), vectors=vectors(100, version), metadata=[{"version": version}] * 100)
            version += 4

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(1, 5)]
    for thread in threads:
        thread.start()
    try:
        for number in range(4):
            docs.snapshot(tmp_path / str(number))
            docs.snapshot(tmp_path / "same place")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    for number in range(4):
        back = db.restore(tmp_path / str(number), name=f"back {number}").to_arrow().sort_by("id")
        (version,) = set(back.column("version").to_pylist())
        assert back.column("id").to_pylist() == list(range(100))
        written = np.stack(back.column("vector").to_pylist()).astype(np.float32)
        assert np.array_equal(written, vectors(100, version))


# ---- half there, taken, or elsewhere


def test_failed_snapshot_leaves_nothing(
    docs: nearrow.Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError("no space")

    monkeypatch.setattr(SnapshotMetadata, "to_table", fail)
    folder = tmp_path / "backups"
    with pytest.raises(OSError, match="no space"):
        docs.snapshot(folder / "out")
    assert list(folder.iterdir()) == []


def test_a_place_that_is_taken_is_refused(db: nearrow.Database, docs: nearrow.Collection, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    docs.snapshot(tmp_path / "empty")
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    other = db.create_collection("other", DIMENSION)
    for taken, collection in (("link", docs), ("notes", docs), ("empty", other)):
        with pytest.raises(AlreadyExistsError):
            collection.snapshot(tmp_path / taken)
    assert (tmp_path / "notes" / "mine.txt").read_text() == "mine"


def test_wrong_arguments_are_refused(db: nearrow.Database, docs: nearrow.Collection, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="filesystem="):
        docs.snapshot("gopher://bucket/backup")
    with pytest.raises(InvalidArgumentError, match="no other machine"):
        docs.snapshot("file://elsewhere/backup")
    with pytest.raises(InvalidArgumentError, match="snappy"):
        docs.snapshot(tmp_path / "out", compression="rar")
    with pytest.raises(InvalidArgumentError, match="row_group_rows"):
        docs.snapshot(tmp_path / "out", row_group_rows=0)
    with pytest.raises(NotFoundError):
        db.restore(tmp_path / "nothing")
    docs.snapshot(tmp_path / "out")
    with pytest.raises(AlreadyExistsError, match="name="):
        db.restore(tmp_path / "out")
    with (
        nearrow.connect(tmp_path / "library", read_only=True) as reader,
        pytest.raises(ReadOnlyError),
    ):
        reader.restore(tmp_path / "out", "other")
