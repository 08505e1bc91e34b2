"""Reading: what does DoGet do?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import flight

from nearrow.errors import InvalidArgumentError
from nearrow.server.backend import Backend
from nearrow.server.calls import Call, logger
from nearrow.server.searching import search
from nearrow.server.wire.errors import to_flight
from nearrow.server.wire.questions import settings_of

MESSAGE_BYTES = 4 << 20
"""Batches are cut into messages of about so many bytes: what the transport copies fits into the processor's cache."""


def read(backend: Backend, call: Call, do: str, arguments: Mapping[str, Any]) -> flight.FlightDataStream:
    """The stream that a ticket stands for. What is wrong with it is raised here, before the first byte."""
    return READS[do](backend, call, arguments)


def _scan(backend: Backend, call: Call, arguments: Mapping[str, Any]) -> flight.FlightDataStream:
    collection = backend.collection(arguments.get("collection"))
    given = {name: arguments[name] for name in ("where", "columns", "batch_rows") if name in arguments}
    reader = collection.scan(**given)
    return stream(reader.schema, reader)


def _get(backend: Backend, call: Call, arguments: Mapping[str, Any]) -> flight.FlightDataStream:
    collection = backend.collection(arguments.get("collection"))
    table = collection.get(arguments.get("ids", []), arguments.get("columns"))
    return stream(table.schema, table.to_batches())


def _search(backend: Backend, call: Call, arguments: Mapping[str, Any]) -> flight.FlightDataStream:
    asked = arguments.get("question", {})
    if not isinstance(asked, Mapping):
        raise InvalidArgumentError(f"question is an object with the settings of a search, not {asked!r:.60}")
    vector = arguments.get("vector")
    vectors = None if vector is None else np.asarray(vector, np.float32) if isinstance(vector, list) else vector
    batch, about = search(backend, arguments.get("collection"), vectors, settings_of(asked))
    return flight.GeneratorStream(batch.schema, iter([(batch, about)]))


def _sql(backend: Backend, call: Call, arguments: Mapping[str, Any]) -> flight.FlightDataStream:
    query: Any = arguments.get("query")
    backend.sql.begin()
    call.at_end.append(backend.sql.end)
    with backend.timed("sql", {"query": query}):
        reader = backend.sql.run(query, arguments.get("parameters"))
    return stream(reader.schema, reader)


READS: Mapping[str, Callable[[Backend, Call, Mapping[str, Any]], flight.FlightDataStream]] = {
    "scan": _scan,
    "get": _get,
    "search": _search,
    "sql": _sql,
}


def stream(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> flight.FlightDataStream:
    """The batches as messages of moderate size. An error on the way is sent as what it is."""
    return flight.GeneratorStream(schema, _messages(batches))


def _messages(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    try:
        for batch in batches:
            rows = max(1, MESSAGE_BYTES * batch.num_rows // max(1, batch.nbytes))
            for start in range(0, batch.num_rows, rows):
                yield batch.slice(start, rows)
    except Exception as error:
        logger.exception("a stream broke off")
        raise to_flight(error) from None
