"""Retries: is a write done once although its acknowledgement is lost, and does a client give up in time?"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import nearrow
from nearrow.server import service, writing
from nearrow.server.ledger import Ledger
from nearrow.server.running import Server
from nearrow.server.settings import ServerSettings

VECTORS = np.eye(4, dtype=np.float32)
ROWS = pa.table({"id": ["a", "b"], "vector": list(VECTORS[:2]), "year": [1, None]})


class LosesAcknowledgements:
    """A server whose first acknowledgements get lost on the way, as when the connection breaks or the server dies."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, forgets: bool) -> None:
        self.lost = 0
        real = writing.put

        def put(backend: Any, command: Any, reader: Any, acknowledge: Callable[[bytes], None]) -> None:
            real(backend, command, reader, acknowledge if self.lost else lambda message: None)
            if not self.lost:
                self.lost += 1
                if forgets:  # what a new process remembers
                    object.__setattr__(backend, "ledger", Ledger())
                raise nearrow.UnavailableError("the acknowledgement is lost")

        monkeypatch.setattr(service, "put", put)


@pytest.fixture(params=["remembers", "forgets"])
def losing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> LosesAcknowledgements:
    return LosesAcknowledgements(monkeypatch, forgets=request.param == "forgets")


@pytest.fixture
def docs(remote: nearrow.Database) -> nearrow.Collection:
    return remote.create_collection("docs", dimension=4)


def test_add_is_done_once(losing: LosesAcknowledgements, docs: nearrow.Collection) -> None:
    assert docs.add(ROWS) == 2
    assert losing.lost == 1
    assert docs.to_arrow()["id"].to_pylist() == ["a", "b"]


def test_add_of_ids_that_others_took_meanwhile_is_refused(
    monkeypatch: pytest.MonkeyPatch, docs: nearrow.Collection, server: Server
) -> None:
    real = service.put
    tried: list[int] = []

    def put(backend: Any, command: Any, reader: Any, acknowledge: Any) -> None:
        tried.append(1)
        if len(tried) == 1:
            server.database.collection("docs").add(ids=["b"], vectors=VECTORS[3:])
            raise nearrow.UnavailableError("the connection broke before anything was done")
        real(backend, command, reader, acknowledge)

    monkeypatch.setattr(service, "put", put)
    with pytest.raises(nearrow.AlreadyExistsError):
        docs.add(ROWS)
    assert len(tried) == 2
    assert docs.to_arrow()["id"].to_pylist() == ["b"]


@pytest.mark.parametrize("write", ["upsert", "update", "transaction", "delete"])
def test_other_writes_come_to_the_same_rows(
    write: str, losing: LosesAcknowledgements, docs: nearrow.Collection, server: Server
) -> None:
    server.database.collection("docs").add(ids=["a", "b", "z"], vectors=VECTORS[:3])
    if write == "delete":
        docs.delete(["a"])
        assert len(docs) == 2
    elif write == "transaction":
        with docs.transaction() as transaction:
            transaction.upsert(ROWS)
            transaction.delete(["z"])
        assert len(docs) == 2
    else:
        assert getattr(docs, write)(ROWS) == 2
        assert docs.get(["a"], ["year"])["year"].to_pylist() == [1]
    assert losing.lost == 1


def test_rows_from_a_stream_are_not_sent_again(losing: LosesAcknowledgements, docs: nearrow.Collection) -> None:
    reader = pa.RecordBatchReader.from_batches(ROWS.schema, iter(ROWS.to_batches()))
    with pytest.raises(nearrow.NearrowError, match="not known"):
        docs.add(reader)
    assert len(docs) in (0, 2)


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_silent_server_is_given_up_in_time(silent: int) -> None:
    address = f"grpc://127.0.0.1:{silent}"
    with nearrow.connect(address, deadline_seconds=0.5) as db, pytest.raises(nearrow.UnavailableError):
        db.collections()


@pytest.mark.parametrize("columns", [None, []])  # the two forms of a DoExchange
def test_answer_that_is_overdue_is_not_waited_for(
    columns: list[str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    with Server(ServerSettings(str(tmp_path / "library"), port=0, drain_seconds=5)) as server:
        server.database.create_collection("docs", dimension=4).add(ROWS)
        real = server.database.collection

        def stuck(name: str, **keywords: Any) -> Any:
            if threading.current_thread() is not threading.main_thread() and waiting:
                go_on.wait(20)
            return real(name, **keywords)

        waiting: list[int] = []
        monkeypatch.setattr(server.database, "collection", stuck)
        with nearrow.connect(server.location, deadline_seconds=1) as db:
            docs = db.collection("docs")
            assert docs.search(VECTORS[0], k=1, columns=columns).ids.tolist() == ["a"]
            waiting.append(1)
            began = time.monotonic()
            with pytest.raises(nearrow.UnavailableError):
                docs.search(VECTORS[0], k=1, columns=columns)
            assert time.monotonic() - began < 15
            waiting.clear()
            go_on.set()
            assert docs.search(VECTORS[0], k=1, columns=columns).ids.tolist() == ["a"]


def test_forked_child_is_told_to_connect_again(remote: nearrow.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getpid", lambda: -1)
    with pytest.raises(nearrow.ClosedError, match="forked"):
        remote.collections()
