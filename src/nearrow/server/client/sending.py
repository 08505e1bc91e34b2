"""Sending: how do rows get to the server, once, whatever happens to the connection?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from uuid import uuid4

import pyarrow as pa
from pyarrow import flight

from nearrow.errors import NearrowError, UnavailableError
from nearrow.server.client.connection import Connection
from nearrow.server.wire.errors import from_flight
from nearrow.server.wire.requests import PutCommand
from nearrow.server.wire.values import dumps, loads

MESSAGE_BYTES = 4 << 20
Batches = Callable[[], Iterable[pa.RecordBatch]]
Advance = Callable[[int], None]


def send(
    connection: Connection,
    collection: str,
    write: str,
    schema: pa.Schema,
    batches: Batches,
    *,
    repeatable: bool,
    advance: Advance,
    after_retry: Callable[[NearrowError], int] | None = None,
) -> int:
    """Send all batches as one atomic write; returns how many rows it concerned.

    batches: gives them anew for each attempt; if they come from a stream that is not `repeatable`, there is one attempt.
    after_retry: what a refusal by a later attempt means, as the first one may have been done; raises it again if it does.
    """
    command = PutCommand(collection, write, atomic=True, request=uuid4().hex)
    tries = 0

    def attempt(client: flight.FlightClient, seconds: float) -> int:
        nonlocal tries
        tries += 1
        if tries > 1 and not repeatable:
            raise NearrowError(
                "the connection broke while rows were read from a stream, which cannot be read again; "
                "whether they were written is not known: look, or send them again as a table"
            )
        writer, acknowledged = client.do_put(command.to_descriptor(), schema, connection.call_options(None))
        try:
            for batch in batches():
                for piece in pieces(batch):
                    writer.write_batch(piece)
                    if tries == 1:
                        advance(piece.num_rows)
            writer.write_metadata(dumps({"commit": True}))
            writer.done_writing()
            answer = acknowledged.read()
            writer.close()
        except (flight.FlightError, pa.ArrowException, OSError) as error:
            if isinstance(error, NearrowError):  # what the rows' own source raised
                writer.close()
                raise
            raise _told(writer, error) from None
        if answer is None:
            raise UnavailableError("the server ended the stream without an acknowledgement")
        return int(loads(answer.to_pybytes())["rows"])

    try:
        return connection.attempts(attempt)
    except UnavailableError:
        raise
    except NearrowError as refusal:
        if tries > 1 and after_retry is not None:
            return after_retry(refusal)
        raise


def pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in messages of moderate size."""
    batch.validate()
    rows = max(1, MESSAGE_BYTES * batch.num_rows // max(1, batch.nbytes))
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def _told(writer: Any, error: Exception) -> NearrowError:
    """What the server said: a write that fails knows only that the stream has ended, and closing it knows why."""
    first = from_flight(error)
    try:
        writer.close()
    except (flight.FlightError, pa.ArrowException, OSError) as closing:
        second = from_flight(closing)
        return first if isinstance(second, UnavailableError) else second
    return first
