"""Denied: does every RPC refuse who has no token, or one whose role may not do that?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import flight

import nearrow
from nearrow.server.auth import Tokens
from nearrow.server.running import Server
from nearrow.server.settings import ServerSettings, tokens_from
from nearrow.server.wire.actions import ACTIONS, ADMIN, READ, ROLES, WRITE

SECRETS = {role: f"{role}-secret-{'x' * 20}" for role in ROLES}
ROWS = pa.table({"id": ["a"], "vector": pa.array([[1.0, 0.0]], pa.list_(pa.float32(), 2))})
DESCRIPTOR = flight.FlightDescriptor.for_path("docs")
Rpc = Callable[[flight.FlightClient, flight.FlightCallOptions], Any]


def do_put(client: flight.FlightClient, options: flight.FlightCallOptions) -> None:
    writer, acknowledged = client.do_put(DESCRIPTOR, ROWS.schema, options)
    writer.write_table(ROWS)
    acknowledged.read()
    writer.close()


def do_exchange(client: flight.FlightClient, options: flight.FlightCallOptions) -> None:
    writer, reader = client.do_exchange(DESCRIPTOR, options)
    queries = ROWS.select(["vector"])
    writer.begin(queries.schema)
    writer.write_table(queries)
    reader.read_chunk()
    writer.close()


RPCS: dict[str, Rpc] = {  # the FlightMethods, by their names
    "HANDSHAKE": lambda client, options: client.authenticate_basic_token("user", "password", options),
    "LIST_FLIGHTS": lambda client, options: list(client.list_flights(options=options)),
    "GET_FLIGHT_INFO": lambda client, options: client.get_flight_info(DESCRIPTOR, options),
    "GET_SCHEMA": lambda client, options: client.get_schema(DESCRIPTOR, options),
    "DO_GET": lambda client, options: client.do_get(
        flight.Ticket(b'{"do": "scan", "collection": "docs"}'), options
    ).read_all(),
    "DO_PUT": do_put,
    "DO_ACTION": lambda client, options: list(client.do_action(flight.Action("health", b""), options)),
    "LIST_ACTIONS": lambda client, options: client.list_actions(options),
    "DO_EXCHANGE": do_exchange,
}


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Server]:
    """A server with a token of each role, and one collection of one row."""
    tokens = Tokens.parse([f"{role} {secret} {role}er" for role, secret in SECRETS.items()], "the test")
    with Server(ServerSettings(str(tmp_path / "library"), port=0, http_port=0, tokens=tokens)) as server:
        docs = server.database.create_collection("docs", dimension=2)
        docs.add(ROWS)
        yield server


def headers(*values: str) -> flight.FlightCallOptions:
    return flight.FlightCallOptions(timeout=20, headers=[(b"authorization", value.encode()) for value in values])


def test_every_rpc_of_flight_is_among_those_tried() -> None:
    known = {name for name in flight.FlightMethod.__members__ if name != "INVALID"}
    assert known - {"POLL_FLIGHT_INFO"} == set(RPCS)


@pytest.mark.parametrize("rpc", RPCS)
@pytest.mark.parametrize(
    "given",
    [(), ("Bearer wrong-secret-xxxxxxxxxxxxxxxx",), ("Bearer ",), (SECRETS[ADMIN],), (f"Basic {SECRETS[ADMIN]}",)],
    ids=["no token", "a wrong token", "an empty token", "no scheme", "another scheme"],
)
def test_rpc_without_a_good_token_is_refused(rpc: str, given: tuple[str, ...], guarded: Server) -> None:
    refusal = OSError if rpc == "GET_SCHEMA" else flight.FlightUnauthenticatedError  # as pyarrow's client has it
    with flight.FlightClient(guarded.location) as client, pytest.raises(refusal, match="token"):
        RPCS[rpc](client, headers(*given))
    assert guarded.gate.open == 0
    assert len(guarded.database.collection("docs")) == 1


@pytest.mark.parametrize("name", ACTIONS)
def test_action_without_a_token_or_with_too_low_a_role_is_refused(name: str, guarded: Server) -> None:
    role = ACTIONS[name].role
    lower = [SECRETS[lower] for lower in ROLES[: ROLES.index(role)]]
    with flight.FlightClient(guarded.location) as client:
        for secret in ["wrong-secret-xxxxxxxxxxxx", *lower]:
            with pytest.raises(flight.FlightUnauthenticatedError):
                list(client.do_action(flight.Action(name, b"{}"), headers(f"Bearer {secret}")))
    assert guarded.database.collections() == ["docs"]


def test_roles_may_do_what_they_may(guarded: Server) -> None:
    def connected(role: str) -> nearrow.Database:
        return nearrow.connect(guarded.location, token=SECRETS[role], deadline_seconds=20)

    vector = np.array([1.0, 0.0], np.float32)
    with connected(READ) as db:
        docs = db.collection("docs")
        assert docs.search(vector).ids.tolist() == ["a"]
        for write in (
            lambda: docs.delete(["a"]),
            lambda: docs.upsert(ROWS),
            lambda: docs.update([{"id": "a", "x": 1}]),
            docs.compact,
            lambda: db.create_collection("more", dimension=2),
            lambda: db.drop_collection("docs"),
        ):
            with pytest.raises(nearrow.AccessDeniedError, match="role"):
                write()
    with connected(WRITE) as db:
        assert db.collection("docs").upsert(ROWS) == 1
        with pytest.raises(nearrow.AccessDeniedError, match="admin"):
            db.drop_collection("docs")
    with connected(ADMIN) as db:
        db.drop_collection("docs")
        assert db.collections() == []
    with nearrow.connect(guarded.location, token="wrong" * 5) as db, pytest.raises(nearrow.AccessDeniedError):
        db.collections()


def test_token_comes_from_the_environment_too(guarded: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEARROW_TOKEN", SECRETS[READ])
    with nearrow.connect(guarded.location) as db:
        assert db.collections() == ["docs"]
    parsed = tokens_from(None, {"NEARROW_TOKENS": f"read {SECRETS[READ]}; admin {SECRETS[ADMIN]} boss"})
    assert [principal.name for _, principal in parsed.known] == ["token 1", "boss"]
    assert not tokens_from(None, {})


@pytest.mark.parametrize(
    "text", ["", "# only a comment", "read short", f"owner {'x' * 20}", f"read {'x' * 20} a name of four"]
)
def test_token_file_with_a_mistake_is_refused_and_not_shown(text: str, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(text)
    with pytest.raises(nearrow.InvalidArgumentError) as raised:
        tokens_from(file, {})
    assert "xxxx" not in str(raised.value)


def test_tokens_are_kept_as_digests(guarded: Server) -> None:
    assert not any(secret in repr(guarded.settings) for secret in SECRETS.values())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.com"])
def test_network_without_tls_and_tokens_needs_insecure(host: str, tmp_path: Path) -> None:
    with pytest.raises(nearrow.InvalidArgumentError, match="--insecure"):
        ServerSettings(str(tmp_path), host=host)
    tokens = Tokens.parse([f"read {'x' * 20}"], "the test")
    with pytest.raises(nearrow.InvalidArgumentError, match="no TLS"):
        ServerSettings(str(tmp_path), host=host, tokens=tokens)
    with pytest.raises(nearrow.InvalidArgumentError, match="/metrics"):
        ServerSettings(str(tmp_path), http_host=host, http_port=0)
    ServerSettings(str(tmp_path), host=host, http_host=host, http_port=0, insecure=True)
    for local in ("127.0.0.1", "localhost", "::1"):
        ServerSettings(str(tmp_path), host=local)
