"""Remote writing: does a write through a server do what the same write does in a directory, and refuse what it refuses?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import nearrow
from nearrow.server.running import Server


def vectors(rows: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((rows, 4)).astype(np.float32)


@pytest.fixture
def docs(remote: nearrow.Database) -> nearrow.Collection:
    return remote.create_collection("docs", dimension=4, metric="l2", text_fields=["text"], memtable_rows=64)


def test_rows_of_every_kind_arrive(docs: nearrow.Collection) -> None:
    table = pa.table({"id": ["t1", "t2"], "vector": list(vectors(2)), "year": [1, 2]})
    assert docs.add(table) == 2
    assert docs.add(table.to_pandas().assign(id=["p1", "p2"])) == 2
    assert docs.upsert([{"id": "d1", "vector": [1, 2, 3, 4], "year": 3, "text": "a star"}]) == 1
    assert docs.add(ids=["k1"], vectors=vectors(1), texts=["the sea"], metadata=[{"year": 4}]) == 1
    reader = pa.RecordBatchReader.from_batches(table.schema, table.set_column(0, "id", [["r1", "r2"]]).to_batches())
    assert docs.add(reader) == 2
    assert docs.add([]) == 0
    assert len(docs) == 8
    assert docs.search(text="star").ids.tolist() == ["d1"]


def test_many_rows_are_one_atomic_write(docs: nearrow.Collection, server: Server) -> None:
    rows = pa.table({"id": [f"{i}" for i in range(1000)], "vector": list(vectors(1000))})
    assert docs.add(rows) == 1000
    assert server.database.collection("docs").stats().memtable_rows == 0  # they became a segment at once
    with pytest.raises(nearrow.AlreadyExistsError, match="'999'"):
        docs.add(rows.slice(999))
    poisoned = rows.to_pylist()
    for row in poisoned:
        row["id"] = f"n{row['id']}"
    poisoned[-1]["vector"] = [float("nan")] * 4
    with pytest.raises(nearrow.InvalidArgumentError, match="999"):
        docs.add(poisoned)
    assert len(docs) == 1000


def test_update_delete_and_transactions(docs: nearrow.Collection) -> None:
    docs.add(ids=["a", "b", "c"], vectors=vectors(3), metadata=[{"year": 1}, {"year": 2}, {"year": 3}])
    assert docs.update([{"id": "a", "year": 10}, {"id": "b", "text": "new"}]) == 2
    assert docs.update({"year": 20}, where={"year": {"$lt": 5}}) == 2
    assert docs.get(["a", "b", "c"], ["year"])["year"].to_pylist() == [10, 20, 20]
    assert docs.delete(["a", "missing"]) == 1
    assert docs.delete("b") == 1
    assert docs.delete(where={"year": 20}) == 1
    with docs.transaction() as transaction:
        transaction.add(ids=["x", "y"], vectors=vectors(2))
        transaction.update([{"id": "x", "year": 1}])
        transaction.delete(["y"])
    assert [row["id"] for row in docs.to_arrow().to_pylist()] == ["x"]
    with pytest.raises(RuntimeError):
        fail_after_deleting(docs, "x")
    assert len(docs) == 1


def fail_after_deleting(docs: nearrow.Collection, id: str) -> None:
    with docs.transaction() as transaction:
        transaction.delete([id])
        raise RuntimeError("rolled back")


REFUSED: dict[str, tuple[type[Exception], Callable[[Any], Any]]] = {
    "no such row": (nearrow.NotFoundError, lambda docs: docs.update([{"id": "nobody", "year": 1}])),
    "an id twice": (nearrow.AlreadyExistsError, lambda docs: docs.add(ids=["a", "a"], vectors=vectors(2))),
    "another dimension": (nearrow.DimensionMismatchError, lambda docs: docs.add(ids=["a"], vectors=np.ones((1, 5)))),
    "another type": (
        nearrow.SchemaError,
        lambda docs: [
            docs.add(ids=[name], vectors=vectors(1), metadata=[{"x": value}]) for name, value in (("a", 1), ("b", "t"))
        ],
    ),
    "a long id": (nearrow.InvalidArgumentError, lambda docs: docs.add(ids=["a" * 600], vectors=vectors(1))),
    "an unknown column": (nearrow.NotFoundError, lambda docs: docs.get(["a"], columns=["colour"])),
    "an unknown operator": (nearrow.FilterError, lambda docs: docs.count({"id": {"$near": 1}})),
    "no filter at all": (nearrow.FilterError, lambda docs: docs.count(object())),
    "both ids and where": (nearrow.InvalidArgumentError, lambda docs: docs.delete(["a"], where={"id": "a"})),
    "rows and keywords": (nearrow.InvalidArgumentError, lambda docs: docs.add([], ids=["a"])),
    "k of nothing": (nearrow.InvalidArgumentError, lambda docs: docs.search([0, 0, 0, 0], k=0)),
    "a function": (
        nearrow.InvalidArgumentError,
        lambda docs: docs.search([0, 0, 0, 0], rerank=lambda request, hits: []),
    ),
    "a wrong cursor": (nearrow.InvalidArgumentError, lambda docs: docs.search([0, 0, 0, 0], after="nonsense")),
    "SQL that is none": (nearrow.InvalidArgumentError, lambda docs: docs.sql("SELEKT 1")),
    "no question": (nearrow.InvalidArgumentError, lambda docs: docs.search()),
}


@pytest.mark.parametrize("name", REFUSED)
def test_error_of_the_server_is_the_class_that_a_directory_raises(name: str, docs: nearrow.Collection) -> None:
    kind, ask = REFUSED[name]
    with pytest.raises(kind) as raised:
        ask(docs)
    assert type(raised.value) is kind
    assert docs.add(ids=["fine"], vectors=vectors(1)) == 1  # the connection is as good as before


def test_collections_come_and_go(remote: nearrow.Database) -> None:
    made = remote.create_collection("one", dimension=3, metric="ip", m=8)
    assert (made.config.metric, made.config.m, made.name) == ("dot", 8, "one")
    with pytest.raises(nearrow.AlreadyExistsError):
        remote.create_collection("one", dimension=3)
    assert remote.get_or_create_collection("one", dimension=5).config.dimension == 3
    with pytest.raises(nearrow.InvalidArgumentError, match="metric"):
        remote.create_collection("two", dimension=3, metric="cosinus")
    for name in ("../up", "a/b", "", "x" * 200, "new\nline"):
        with pytest.raises(nearrow.InvalidArgumentError):
            remote.create_collection(name, dimension=3)
    assert remote.collections() == ["one"]
    remote.drop_collection("one")
    assert remote.collections() == []
    with pytest.raises(nearrow.NotFoundError):
        made.count()
    with pytest.raises(nearrow.NotFoundError):
        remote.collection("one")


def test_upkeep_goes_through(remote: nearrow.Database, words: nearrow.Collection, server: Server) -> None:
    words.flush()
    words.compact()
    words.wait()
    words.refresh()
    stats = words.stats()
    assert (stats.live, len(stats.segments), stats.segments[0].rows) == (300, 1, 300)
    assert stats.to_dict()["disk_bytes_total"] > 0
    assert words.check().ok
    assert remote.check_collection("words").checked["segments"] == 1
    assert not words.repair().changed
    assert not remote.repair_collection("words").changed
    taken = words.snapshot("monday")
    assert (taken.rows, taken.schema, taken.config) == (300, words.schema, words.config)
    restored = remote.restore("monday", "again")
    assert restored.to_arrow().equals(words.to_arrow())
    for name in ("../elsewhere", "/tmp/elsewhere", "a/b", ".."):
        with pytest.raises(nearrow.InvalidArgumentError):
            words.snapshot(name)
    for needs_directory in (words.graph_report, words.plot):
        with pytest.raises(nearrow.InvalidArgumentError, match="needs the directory"):
            needs_directory()
    for elsewhere in ({"filesystem": object()}, {"every": 1.0}, {"keep": 3}):
        with pytest.raises(nearrow.InvalidArgumentError, match="a name only"):
            words.snapshot("tuesday", **elsewhere)


def test_read_only_client_writes_nothing(server: Server, words: nearrow.Collection) -> None:
    with nearrow.connect(server.location, read_only=True) as db:
        reader = db.collection("words")
        assert len(reader) == 300
        writes: list[Callable[[], Any]] = [
            lambda: reader.delete(["x"]),
            lambda: reader.add(ids=["x"], vectors=np.ones((1, 384))),
            lambda: db.drop_collection("words"),
            lambda: db.create_collection("new", dimension=3),
            reader.flush,
            reader.compact,
        ]
        for write in writes:
            with pytest.raises(nearrow.ReadOnlyError):
                write()


def test_closed_client_says_so(server: Server, words: nearrow.Collection) -> None:
    db = nearrow.connect(server.location)
    collection = db.collection("words")
    collection.search(np.ones(384, np.float32))
    db.close()
    db.close()
    with pytest.raises(nearrow.ClosedError):
        collection.count()
    words.close()
    with pytest.raises(nearrow.ClosedError):
        words.search(np.ones(384, np.float32))


def test_address_that_nobody_serves_is_unavailable() -> None:
    with nearrow.connect("grpc://127.0.0.1:1", deadline_seconds=0.2) as db, pytest.raises(nearrow.UnavailableError):
        db.collections()
    with pytest.raises(nearrow.InvalidArgumentError, match="address"):
        nearrow.connect("http://127.0.0.1:1")
    with pytest.raises(nearrow.InvalidArgumentError, match="token"):
        nearrow.connect(":memory:", token="secret")
