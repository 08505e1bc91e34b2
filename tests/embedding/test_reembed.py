"""Reembed: is the change to another model whole, durable, and invisible to those who write and search meanwhile?"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import nearrow
from embedding.word_vectors import Counting, word_vectors
from nearrow.errors import EmbeddingError, InvalidArgumentError

OLD, NEW = word_vectors(32), word_vectors(48, "new")
SMALL = {"memtable_rows": 64, "graph_rows_min": 256}


def filled(db: nearrow.Database, count: int = 1_000, **settings: Any) -> nearrow.Collection:
    docs = db.create_collection("docs", embedding=OLD, **SMALL, **settings)
    docs.add(ids=list(range(count)), texts=[f"text number {i}" for i in range(count)])
    return docs


def assert_embedded_by(docs: nearrow.Collection, model: Any) -> None:
    rows = docs.to_arrow()
    vectors = np.array(rows["vector"].to_pylist(), dtype=np.float32)
    assert np.allclose(vectors, model(rows["text"].to_pylist()), atol=1e-5)


def test_every_row_gets_a_new_vector_and_the_dimension_may_change(tmp_path: Path) -> None:
    with nearrow.connect(tmp_path) as db:
        docs = filled(db)
        docs.delete([5])
        assert docs.reembed(NEW) == 999
        assert (docs.config.dimension, len(docs)) == (48, 999)
        assert_embedded_by(docs, NEW)
        assert docs.search(query="number 77", k=1)[0].id == 77
        assert docs.search(text="77", k=1)[0].id == 77  # the text index went on as it was
        docs.add(ids=[5000], texts=["written afterwards"])
        assert docs.check().ok
    with nearrow.connect(tmp_path) as db:
        docs = db.collection("docs", embedding=NEW)
        assert_embedded_by(docs, NEW)
        assert docs.search(query="written afterwards", k=1)[0].id == 5000
        with pytest.raises(EmbeddingError, match="were made by"):
            db.collection("docs", embedding=OLD)


def test_a_collection_without_a_model_gets_one(tmp_path: Path) -> None:
    with nearrow.connect(tmp_path) as db:
        docs = db.create_collection("docs", dimension=4, text_fields=["text"])
        docs.add(ids=[1, 2], vectors=np.ones((2, 4)), texts=["four strings", "no garbage"])
        docs.reembed(NEW)
        assert docs.search(query="strings", k=1)[0].id == 1


def test_an_empty_collection_changes_over() -> None:
    with nearrow.connect(":memory:") as db:
        docs = db.create_collection("docs", embedding=OLD)
        assert docs.reembed(NEW) == 0
        docs.add(ids=[1], texts=["four strings"])
        assert docs.search(query="strings", k=1)[0].id == 1


def test_rows_without_a_text_are_refused_before_anything_is_done() -> None:
    with nearrow.connect(":memory:") as db:
        docs = filled(db, 10)
        docs.add([{"id": 99, "vector": np.ones(32), "text": None}])
        with pytest.raises(InvalidArgumentError, match="rows without a text in 'text' to make a new vector of: 1;"):
            docs.reembed(NEW)
        assert docs.config.dimension == 32
        docs.delete([99])
        assert docs.reembed(NEW) == 10


def test_a_model_that_fails_midway_changes_nothing(tmp_path: Path) -> None:
    calls = []

    def failing(texts: list[str]) -> np.ndarray:
        calls.append(len(texts))
        if len(calls) > 5:
            raise RuntimeError("out of memory")
        return NEW(texts)

    with nearrow.connect(tmp_path) as db:
        docs = filled(db)
        with pytest.raises(EmbeddingError, match="out of memory"):
            docs.reembed(failing)
        assert docs.config.dimension == 32
        assert_embedded_by(docs, OLD)
        docs.compact()
        assert docs.reembed(NEW) == 1000
        assert docs.check().ok


def test_the_search_finds_its_graph_at_once() -> None:
    with nearrow.connect(":memory:") as db:
        docs = filled(db)
        docs.flush()
        docs.reembed(NEW)
        assert sum(segment.rows for segment in docs.stats().segments if segment.graph) >= 900


def test_writes_and_searches_go_on_meanwhile(tmp_path: Path) -> None:
    """Rows come, change and go while the model embeds; afterwards every row has the vector of its own newest text."""
    with nearrow.connect(tmp_path) as db:
        docs = filled(db, 2_000)
        embedding, stop = threading.Event(), threading.Event()
        failures: list[BaseException] = []

        def slow(texts: list[str]) -> np.ndarray:
            embedding.set()
            return NEW(texts)

        def write() -> None:
            step = 0
            while not stop.is_set():
                docs.upsert(ids=[10_000 + step, step], texts=[f"fresh row {step}", f"changed text {step}"])
                docs.delete([1_000 + step])
                step += 1

        def search() -> None:
            while not stop.is_set():
                assert len(docs.search(query="text number 1999", k=3)) == 3

        def watched(task: Any) -> None:
            try:
                task()
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=watched, args=(task,)) for task in (write, search)]
        for thread in threads:
            thread.start()
        docs.reembed(slow)
        assert embedding.is_set()
        stop.set()
        for thread in threads:
            thread.join()
        assert not failures
        assert_embedded_by(docs, NEW)
        assert docs.check().ok
        expected = docs.to_arrow().sort_by("id")
    with nearrow.connect(tmp_path) as db:
        assert db.collection("docs").to_arrow().sort_by("id").equals(expected)


def test_vectors_of_the_old_model_come_too_late() -> None:
    with nearrow.connect(":memory:") as db:
        docs = filled(db, 10)
        same_size = word_vectors(32, "new")
        reached, go = threading.Event(), threading.Event()

        def batches() -> Any:
            reached.set()
            go.wait()
            yield pa.RecordBatch.from_pydict({"id": [77], "vector": [[1.0] * 32], "text": ["late"]})

        schema = pa.schema([("id", pa.int64()), ("vector", pa.list_(pa.float32(), 32)), ("text", pa.string())])
        late: list[BaseException] = []

        def write() -> None:
            try:
                docs.add(pa.RecordBatchReader.from_batches(schema, batches()))
            except EmbeddingError as error:
                late.append(error)

        thread = threading.Thread(target=write)
        thread.start()
        reached.wait()
        docs.reembed(same_size)
        go.set()
        thread.join()
        assert "make the vectors with the new model" in str(late[0])
        assert 77 not in docs


def test_a_reader_follows_to_the_new_model(tmp_path: Path) -> None:
    with nearrow.connect(tmp_path) as db, nearrow.connect(tmp_path, read_only=True) as reading:
        docs = filled(db, 300)
        reader = reading.collection("docs", embedding=OLD)
        assert reader.search(query="number 7", k=1)[0].id == 7
        docs.reembed(NEW)
        reader.refresh()
        assert reader.config.dimension == 48
        assert reader.search(NEW(["text number 7"])[0], k=1)[0].id == 7
        with pytest.raises(EmbeddingError, match="give it again"):
            reader.search(query="number 7")
        assert reading.collection("docs", embedding=NEW).search(query="number 7", k=1)[0].id == 7


def test_progress_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with nearrow.connect(":memory:") as db:
        filled(db, 50).reembed(Counting(NEW), progress=True)
    assert "embedding docs anew" in capsys.readouterr().err
