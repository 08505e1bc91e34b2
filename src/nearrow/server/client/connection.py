"""Connection: how is a server reached, and what if it does not answer?

A call whose connection breaks is made again, with growing pauses, until its deadline. That is safe for reads; a write
carries a request id, so that the server does it once (see `server.ledger`).
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from pyarrow import flight

from nearrow.errors import ClosedError, InvalidArgumentError, NearrowError, NotFoundError, UnavailableError
from nearrow.server.transport import shortest_way
from nearrow.server.wire.errors import from_flight
from nearrow.server.wire.values import dumps, loads

PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX = 0.05, 1.0
CHANNEL_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
]
FIRST_SECONDS = 5.0
"""Until a server has answered once, its address may be wrong: no use to try for long."""
CALL_ERRORS = (NearrowError, flight.FlightError, pa.ArrowException, OSError)
"""What a call may raise that reached no server, or was answered with an error."""
Result = TypeVar("Result")


@dataclass(frozen=True)
class ConnectionOptions:
    """How to reach a server.

    deadline_seconds: how long one call may take, attempts after a lost connection included. Bulk writes and upkeep take
        as long as they take, but give up after so long without a connection.
    ca_certificate: a PEM file, for a server whose certificate the system does not know. client_certificate, client_key:
        PEM files, for a server that asks who the client is (mTLS).
    """

    token: str | None = None
    deadline_seconds: float = 60.0
    ca_certificate: str | os.PathLike[str] | None = None
    client_certificate: str | os.PathLike[str] | None = None
    client_key: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        if not self.deadline_seconds > 0:
            raise InvalidArgumentError(f"deadline_seconds is a positive number, not {self.deadline_seconds!r}")
        if (self.client_certificate is None) != (self.client_key is None):
            raise InvalidArgumentError("client_certificate and client_key belong together; give both")

    def client(self, location: str) -> flight.FlightClient:
        given = {
            "tls_root_certs": _pem(self.ca_certificate),
            "cert_chain": _pem(self.client_certificate),
            "private_key": _pem(self.client_key),
        }
        options = {name: value for name, value in given.items() if value is not None}
        try:
            with shortest_way():
                return flight.FlightClient(location, generic_options=CHANNEL_OPTIONS, **options)
        except (pa.ArrowException, ValueError) as error:
            raise InvalidArgumentError(f"{location!r} is no address of a server: {error}") from None


def _pem(path: str | os.PathLike[str] | None) -> bytes | None:
    if path is None:
        return None
    if not Path(path).is_file():
        raise NotFoundError(f"no such file: {os.fspath(path)}")
    return Path(path).read_bytes()


class Connection:
    """One connection, for any number of threads."""

    def __init__(self, location: str, options: ConnectionOptions) -> None:
        self.location = location
        self.deadline_seconds = options.deadline_seconds
        self._client = options.client(location)
        self._headers = [] if options.token is None else [(b"authorization", b"Bearer " + options.token.encode())]
        self._process = os.getpid()
        self._closed = threading.Event()
        self._reached = False

    def action(self, name: str, /, *, unlimited: bool = False, **arguments: Any) -> Any:
        """What an action comes to. unlimited: it may take as long as it takes."""
        body = dumps({key: value for key, value in arguments.items() if value is not None})

        def ask(client: flight.FlightClient, seconds: float) -> Any:
            options = self.call_options(None if unlimited else seconds)
            results = list(client.do_action(flight.Action(name, body), options))
            return loads(results[0].body.to_pybytes())

        return self.attempts(ask)

    def reader(self, ticket: flight.Ticket) -> pa.RecordBatchReader:
        """The stream of a ticket, begun; what goes wrong later is raised as Nearrow's error by whoever reads."""

        def ask(client: flight.FlightClient, seconds: float) -> tuple[pa.Schema, Any]:
            found = client.do_get(ticket, self.call_options(None))
            return found.schema, found

        schema, stream = self.attempts(ask)
        return pa.RecordBatchReader.from_batches(schema, _batches(stream))

    def table(self, ticket: flight.Ticket) -> tuple[pa.Table, bytes | None]:
        """All of a ticket's stream, and the metadata of its first message."""

        def ask(client: flight.FlightClient, seconds: float) -> tuple[pa.Table, bytes | None]:
            stream = client.do_get(ticket, self.call_options(seconds))
            batches, about = [], None
            for chunk in stream:
                batches.append(chunk.data)
                if about is None and chunk.app_metadata is not None:
                    about = chunk.app_metadata.to_pybytes()
            return pa.Table.from_batches(batches, stream.schema), about

        return self.attempts(ask)

    def attempts(
        self,
        ask: Callable[[flight.FlightClient, float], Result],
        began: float | None = None,
        failed: Exception | None = None,
    ) -> Result:
        """What `ask(client, seconds left)` returns; asked again while the server is unavailable and time is left.

        failed: what became of a first attempt, which began at this time of the monotonic clock.
        """
        ends = (time.monotonic() if began is None else began) + self.deadline_seconds
        pause = PAUSE_SECONDS_MIN
        while True:
            self.check_open()
            if failed is None:
                try:
                    answer = ask(self._client, max(0.001, ends - time.monotonic()))
                    self._reached = True
                    return answer
                except CALL_ERRORS as error:
                    failed = error
            told = failed if isinstance(failed, NearrowError) else from_flight(failed)
            failed = None
            self._reached = self._reached or not isinstance(told, UnavailableError)
            left = ends - time.monotonic()
            if not self._reached:
                left -= max(0.0, self.deadline_seconds - FIRST_SECONDS)
            if not isinstance(told, UnavailableError) or left <= pause:
                raise told from None
            if self._closed.wait(pause * random.uniform(0.5, 1.0)):
                continue  # check_open says so
            pause = min(2 * pause, PAUSE_SECONDS_MAX)

    def call_options(self, seconds: float | None) -> flight.FlightCallOptions:
        return flight.FlightCallOptions(timeout=seconds, headers=self._headers)

    def check_open(self) -> None:
        if self._closed.is_set():
            raise ClosedError("the connection is closed; connect() again")
        if os.getpid() != self._process:
            raise ClosedError("the connection belongs to the parent of this forked process; connect() again")

    def close(self) -> None:
        if not self._closed.is_set():
            self._closed.set()
            self._client.close()


def _batches(stream: Any) -> Any:
    try:
        for chunk in stream:
            yield chunk.data
    except (flight.FlightError, pa.ArrowException, OSError) as error:
        raise from_flight(error) from None
