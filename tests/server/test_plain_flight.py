"""Plain Flight: may a client that knows only pyarrow.flight do everything, and does a broken one do no harm?"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import flight

import nearrow
from nearrow.server.limits import Limits
from nearrow.server.running import Server
from nearrow.server.settings import ServerSettings
from nearrow.server.wire.actions import ACTIONS

SMALL = Limits(
    k=100, queries=64, hits=1000, dimension=64, batch_rows=1000, message_bytes=1 << 18, request_bytes=1 << 14
)


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Server]:
    """A server with small limits and an empty collection of two dimensions."""
    with Server(ServerSettings(str(tmp_path / "library"), port=0, limits=SMALL, drain_seconds=5)) as server:
        server.database.create_collection("docs", dimension=2, metric="l2")
        yield server


@pytest.fixture
def client(limited: Server) -> Iterator[flight.FlightClient]:
    with flight.FlightClient(limited.location) as found:
        yield found


def rows(first: int, count: int) -> pa.RecordBatch:
    points = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(2 * count, dtype=np.float32)), 2)
    return pa.record_batch({"id": [f"{first + index}" for index in range(count)], "vector": points})


def put(client: flight.FlightClient, descriptor: flight.FlightDescriptor, *batches: pa.RecordBatch) -> list[Any]:
    writer, acknowledged = client.do_put(descriptor, batches[0].schema)
    told = []
    for batch in batches:
        writer.write_batch(batch)
        acknowledgement = acknowledged.read()
        if acknowledgement is not None:  # else closing says why there is none
            told.append(json.loads(acknowledgement.to_pybytes()))
    writer.close()
    return told


def act(client: flight.FlightClient, name: str, **arguments: Any) -> Any:
    results = list(client.do_action(flight.Action(name, json.dumps(arguments).encode())))
    return json.loads(results[0].body.to_pybytes())


def command(**told: Any) -> flight.FlightDescriptor:
    return flight.FlightDescriptor.for_command(json.dumps(told).encode())


def test_each_batch_is_acknowledged_when_it_is_there(limited: Server, client: flight.FlightClient) -> None:
    docs = limited.database.collection("docs")
    writer, acknowledged = client.do_put(flight.FlightDescriptor.for_path("docs"), rows(0, 1).schema)
    for number in range(3):
        writer.write_batch(rows(10 * number, 10))
        assert json.loads(acknowledged.read().to_pybytes())["rows"] == 10
        assert len(docs) == 10 * (number + 1)
    writer.close()
    assert put(client, flight.FlightDescriptor.for_path("docs", "delete"), rows(0, 4).select(["id"]))[0]["rows"] == 4
    assert put(client, command(collection="docs", write="add"), rows(100, 2))[0]["rows"] == 2
    assert len(docs) == 28
    with pytest.raises(flight.FlightServerError, match="AlreadyExistsError"):
        put(client, command(collection="docs", write="add"), rows(100, 2))


def test_request_that_is_sent_twice_is_done_once(limited: Server, client: flight.FlightClient) -> None:
    for _ in range(2):
        writer, acknowledged = client.do_put(flight.FlightDescriptor.for_path("docs", "add"), rows(0, 1).schema)
        writer.write_with_metadata(rows(0, 5), b'{"request": "monday-1"}')
        assert json.loads(acknowledged.read().to_pybytes()) == {"rows": 5, "request": "monday-1"}
        writer.close()
    assert len(limited.database.collection("docs")) == 5


def test_collection_is_made_on_request_only(limited: Server, client: flight.FlightClient) -> None:
    with pytest.raises(flight.FlightServerError, match="NotFoundError"):
        put(client, flight.FlightDescriptor.for_path("new"), rows(0, 2))
    put(client, command(collection="new", create={"metric": "dot"}), rows(0, 2))
    made = limited.database.collection("new")
    assert (len(made), made.config.dimension, made.config.metric) == (2, 2, "dot")
    with pytest.raises(flight.FlightServerError, match="the server takes 64"):
        put(client, command(collection="wide", create={"dimension": 65}), rows(0, 2))


def test_listing_is_true_to_the_data(limited: Server, client: flight.FlightClient) -> None:
    docs = limited.database.collection("docs")
    docs.add(rows(0, 100))
    docs.flush()
    docs.add(rows(100, 20))
    (info,) = client.list_flights()
    scanned = client.do_get(info.endpoints[0].ticket).read_all()
    assert (info.total_records, info.total_bytes) == (120, scanned.nbytes)
    assert info.schema == scanned.schema == docs.schema == client.get_schema(info.descriptor).schema
    assert client.get_flight_info(flight.FlightDescriptor.for_path("docs")).total_records == 120
    docs.delete(["5"])
    assert next(iter(client.list_flights())).total_records == 119


def test_exchange_answers_in_order_while_more_is_on_its_way(limited: Server, client: flight.FlightClient) -> None:
    limited.database.collection("docs").add(rows(0, 50))
    writer, reader = client.do_exchange(flight.FlightDescriptor.for_path("docs"))
    queries = [rows(0, 50).slice(index, 1).select(["vector"]) for index in range(20)]
    writer.begin(queries[0].schema)
    writer.write_with_metadata(queries[0], b'{"k": 1, "columns": []}')
    for query in queries[1:]:
        writer.write_batch(query)
    found = [reader.read_chunk().data["id"].to_pylist() for _ in queries]
    assert found == [[f"{index}"] for index in range(20)]
    writer.close()


def test_actions_do_what_their_list_says(limited: Server, client: flight.FlightClient) -> None:
    limited.database.collection("docs").add(rows(0, 50))
    listed = {action.type: action.description for action in client.list_actions()}
    assert set(listed) == set(ACTIONS)
    assert all(description.endswith(".") and "Role: " in description for description in listed.values())
    assert act(client, "health")["status"] == "ok"
    assert act(client, "readiness") == {"ready": True}
    assert [row["id"] for row in act(client, "search", collection="docs", id="7", question={"k": 2})] == ["6", "8"]
    assert act(client, "delete", collection="docs", where={"id": {"$in": ["1", "2"]}}) == 2
    assert act(client, "stats", collection="docs")["live"] == 48


BAD_ACTIONS = {
    "unknown action": ("explode", b"{}"),
    "not JSON": ("count", b"{"),
    "not an object": ("count", b"[1]"),
    "no collection": ("count", b"{}"),
    "collection of a wrong type": ("count", b'{"collection": 5}'),
    "an argument too many": ("count", b'{"collection": "docs", "colour": 1}'),
    "hostile name": ("create", b'{"collection": "../../etc", "dimension": 2}'),
    "huge dimension": ("create", b'{"collection": "wide", "dimension": 1000000}'),
    "deeply nested": ("count", b'{"collection": "docs", "where": ' + b"[" * 5000 + b"]" * 5000 + b"}"),
    "a broken tag": ("count", b'{"collection": "docs", "where": {"id": {"$base64": "!"}}}'),
    "a broken array": ("count", b'{"collection": "docs", "where": {"$array": ["float32", [9], ""]}}'),
    "a broken expression": ("count", b'{"collection": "docs", "where": {"$expression": "QVJST1cx"}}'),
    "too long": ("count", b'{"collection": "docs", "where": "' + b" " * SMALL.request_bytes + b'"}'),
    "binary": ("count", bytes(range(256))),
}


@pytest.mark.parametrize("name", BAD_ACTIONS)
def test_bad_action_is_refused_with_a_typed_error(name: str, client: flight.FlightClient) -> None:
    kind, body = BAD_ACTIONS[name]
    with pytest.raises(flight.FlightServerError) as raised:
        list(client.do_action(flight.Action(kind, body)))
    told = json.loads(raised.value.extra_info)
    assert issubclass(getattr(nearrow, told["error"]), (nearrow.InvalidArgumentError, nearrow.FilterError))
    assert "Traceback" not in str(raised.value)
    assert act(client, "readiness") == {"ready": True}


BAD_TICKETS = [
    b"",
    b"\xff\x00",
    b'{"do": "everything"}',
    b'{"do": "scan"}',
    b'{"do": "search", "collection": "docs", "question": {"k": 101}, "vector": [1, 2]}',
    b'{"do": "search", "collection": "docs", "question": {"k": 0}, "vector": [1, 2]}',
    b'{"do": "search", "collection": "docs", "question": {"rerank": 1}, "vector": [1, 2]}',
    b'{"do": "search", "collection": "docs", "vector": [[1, 2], [3]]}',
    b'{"do": "search", "collection": "docs", "vector": "NaN"}',
    b'{"do": "sql", "query": 7}',
    b'{"do": "sql", "query": "COPY docs TO \'/tmp/x.csv\'"}',
]


@pytest.mark.parametrize("ticket", BAD_TICKETS)
def test_bad_ticket_is_refused_with_a_typed_error(ticket: bytes, client: flight.FlightClient) -> None:
    with pytest.raises(flight.FlightServerError) as raised:
        client.do_get(flight.Ticket(ticket)).read_all()
    assert json.loads(raised.value.extra_info)["error"] in nearrow.errors.__all__
    assert act(client, "readiness") == {"ready": True}


@pytest.mark.parametrize("batch", [rows(0, 1001), pa.record_batch({"id": ["a"], "vector": ["x" * (1 << 18)]})])
def test_message_that_is_too_large_is_refused(
    batch: pa.RecordBatch, limited: Server, client: flight.FlightClient
) -> None:
    with pytest.raises(flight.FlightServerError, match="send smaller batches"):
        put(client, flight.FlightDescriptor.for_path("docs"), batch)
    writer, reader = client.do_exchange(flight.FlightDescriptor.for_path("docs"))
    writer.begin(batch.schema)
    writer.write_batch(batch)
    with pytest.raises(flight.FlightServerError, match="send smaller batches"):
        reader.read_chunk()
    assert len(limited.database.collection("docs")) == 0


def test_bytes_that_are_no_message_close_their_connection_only(limited: Server, client: flight.FlightClient) -> None:
    for noise in (
        b"GET / HTTP/1.1\r\n\r\n",
        bytes(range(256)) * 64,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 4096,
    ):
        with socket.create_connection(("127.0.0.1", limited.port), 10) as connection:
            connection.sendall(noise)
    assert act(client, "readiness") == {"ready": True}


DYING = """
import os, sys, json
import pyarrow as pa
from pyarrow import flight

location, stage = sys.argv[1], sys.argv[2]
vectors = pa.array([[1.0, 2.0]] * 50, pa.list_(pa.float32(), 2))
batch = pa.record_batch({"id": [f"x{i}" for i in range(50)], "vector": vectors})
atomic = stage.startswith("atomic")
command = {"collection": "docs", "write": "upsert", "atomic": atomic}
writer, acknowledged = flight.FlightClient(location).do_put(
    flight.FlightDescriptor.for_command(json.dumps(command).encode()), batch.schema
)
if stage == "opened":
    os._exit(9)
writer.write_batch(batch)
if stage == "acknowledged":
    acknowledged.read()
    os._exit(9)
if stage in ("written", "atomic, written"):
    os._exit(9)
if stage == "atomic, ended without a commit":
    writer.done_writing()
    try:
        writer.close()
    except flight.FlightError as error:
        assert "before it was committed" in str(error), error
    os._exit(9)
writer.write_metadata(b'{"commit": true}')
acknowledged.read()
os._exit(9)
"""


@pytest.mark.parametrize(
    ("stage", "rows_there"),
    [
        ("opened", {0}),
        ("written", {0, 50}),
        ("acknowledged", {50}),
        ("atomic, written", {0}),
        ("atomic, ended without a commit", {0}),
        ("atomic, committed", {50}),
    ],
)
def test_client_that_dies_leaves_whole_batches_only(stage: str, rows_there: set[int], limited: Server) -> None:
    died = subprocess.run([sys.executable, "-c", DYING, limited.location, stage], timeout=120)
    assert died.returncode == 9
    assert limited.gate.drain(20)  # the server has noticed, and done what it does about it
    assert len(limited.database.collection("docs")) in rows_there
    assert limited.database.collection("docs").check().ok
