"""Listing: what do ListFlights, GetFlightInfo and GetSchema say of a collection?"""

from __future__ import annotations

from collections.abc import Iterator

from pyarrow import flight

from nearrow.collection import Collection
from nearrow.errors import NotFoundError
from nearrow.segment.view import View
from nearrow.server.backend import Backend
from nearrow.server.wire.requests import ticket


def flight_infos(backend: Backend) -> Iterator[flight.FlightInfo]:
    """One for each collection; what is dropped meanwhile is left out."""
    for name in backend.database.collections():
        try:
            collection = backend.collection(name)
        except NotFoundError:
            continue
        yield flight_info(collection)


def flight_info(collection: Collection) -> flight.FlightInfo:
    """Rows, bytes and columns as they are now, and the ticket that scans them."""
    view = collection._view()
    return flight.FlightInfo(
        view.schema,
        flight.FlightDescriptor.for_path(collection.name),
        [flight.FlightEndpoint(ticket("scan", collection=collection.name), [])],
        view.count,
        live_bytes(view),
    )


def live_bytes(view: View) -> int:
    """The Arrow bytes of the rows that are alive; in parts where some died, in proportion."""
    total = 0
    for part in view.parts:
        size = sum(
            batch.column(name).nbytes
            for batch in part.batches
            for name in view.schema.names
            if batch.schema.get_field_index(name) >= 0
        )
        total += size if part.alive is None else size * part.alive_count // max(1, part.rows)
    return total
