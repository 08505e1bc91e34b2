"""Wire requests: what do tickets, descriptors and the messages of a stream say?

DoGet       ticket       {"do": "scan" | "get" | "search" | "sql", …its arguments}
DoPut       descriptor   path [collection] or [collection, verb], or the command of a `PutCommand` as JSON
DoExchange  descriptor   path [collection], or the command of an `ExchangeCommand` as JSON
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pyarrow import flight

from nearrow.errors import InvalidArgumentError
from nearrow.schema import nearest_name, validate_name
from nearrow.server.wire.values import dumps, loads

WRITES = ("upsert", "add", "update", "delete", "transaction")
TICKETS: Mapping[str, tuple[str, ...]] = {  # what a ticket does → its arguments
    "scan": ("collection", "where", "columns", "batch_rows"),
    "get": ("collection", "ids", "columns"),
    "search": ("collection", "vector", "question"),
    "sql": ("query", "parameters"),
}
REQUEST_BYTES_MAX = 64
BATCHES, COMPACT = "batches", "compact"
"""The forms that questions and answers of a DoExchange may have: Arrow record batches, or `wire.compact`."""


@dataclass(frozen=True)
class PutCommand:
    """What a DoPut stream is about.

    write: upsert, add, update or delete: what each batch is for. transaction: each row of the stream is one write, see
        `transactions`. atomic: the whole stream is one write, which happens when {"commit": true} has come; else each
        batch is one. create: settings to make the collection with if there is none. request: names this write, so
        that asking again does not do it twice.
    """

    collection: str
    write: str = "upsert"
    atomic: bool = False
    create: Mapping[str, Any] | None = None
    request: str | None = None

    def __post_init__(self) -> None:
        validate_name(self.collection)
        check_write(self.write)
        if not isinstance(self.atomic, bool):
            raise InvalidArgumentError(f"atomic is true or false, not {self.atomic!r}")
        if self.create is not None and not isinstance(self.create, Mapping):
            raise InvalidArgumentError(f"create is an object of settings, not {self.create!r:.60}")
        check_request(self.request)

    def to_descriptor(self) -> flight.FlightDescriptor:
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        return flight.FlightDescriptor.for_command(dumps({name: value for name, value in told.items() if value}))

    @classmethod
    def from_descriptor(cls, descriptor: flight.FlightDescriptor) -> PutCommand:
        """InvalidArgumentError for a descriptor that is none of those above."""
        if descriptor.descriptor_type == flight.DescriptorType.PATH:
            path = _path(descriptor)
            if len(path) not in (1, 2):
                raise InvalidArgumentError(f"a path is [collection] or [collection, verb], not {path!r:.80}")
            return cls(path[0], path[1] if len(path) == 2 else "upsert")
        return cls(**_known("a write", object_of(descriptor.command), [field.name for field in fields(cls)]))


@dataclass(frozen=True)
class ExchangeCommand:
    """What a DoExchange stream is about: a collection, and the form of questions and answers."""

    collection: str
    form: str = BATCHES

    def __post_init__(self) -> None:
        validate_name(self.collection)
        if self.form not in (BATCHES, COMPACT):
            raise InvalidArgumentError(f"form is {BATCHES!r} or {COMPACT!r}, not {self.form!r:.60}")

    def to_descriptor(self) -> flight.FlightDescriptor:
        return flight.FlightDescriptor.for_command(dumps({"collection": self.collection, "form": self.form}))

    @classmethod
    def from_descriptor(cls, descriptor: flight.FlightDescriptor) -> ExchangeCommand:
        """InvalidArgumentError for a descriptor that is none of those above."""
        if descriptor.descriptor_type == flight.DescriptorType.PATH:
            return cls(collection_of(descriptor))
        told = _known("an exchange", object_of(descriptor.command), [field.name for field in fields(cls)])
        return cls(told.get("collection", ""), told.get("form", BATCHES))


def check_write(write: object) -> None:
    if write not in WRITES:
        raise InvalidArgumentError(f"unknown write {write!r:.60}{nearest_name(str(write), WRITES)}")


def check_request(request: object) -> None:
    if request is not None and not (isinstance(request, str) and 0 < len(request.encode()) <= REQUEST_BYTES_MAX):
        raise InvalidArgumentError(f"request is text of 1 to {REQUEST_BYTES_MAX} bytes, not {request!r:.80}")


def ticket(do: str, **arguments: Any) -> flight.Ticket:
    """The ticket that asks for this."""
    given = {name: value for name, value in arguments.items() if value is not None}
    return flight.Ticket(dumps({"do": do, **given}))


def ticket_of(packed: flight.Ticket) -> tuple[str, dict[str, Any]]:
    """What a ticket does and its arguments; InvalidArgumentError for a ticket of another form."""
    told = object_of(packed.ticket)
    do = told.pop("do", None)
    if do not in TICKETS:
        raise InvalidArgumentError(f'a ticket has "do": one of {", ".join(TICKETS)}, not {do!r:.60}')
    return do, _known(f"a {do} ticket", told, TICKETS[do])


def collection_of(descriptor: flight.FlightDescriptor) -> str:
    """The collection that a descriptor names; InvalidArgumentError if it names none."""
    if descriptor.descriptor_type == flight.DescriptorType.PATH:
        path = _path(descriptor)
        if len(path) != 1:
            raise InvalidArgumentError(f"the path of a collection is [name], not {path!r:.80}")
        return validate_name(path[0])
    told = _known("a descriptor", object_of(descriptor.command), ("collection",))
    return validate_name(told.get("collection", ""))


def object_of(packed: bytes | None) -> dict[str, Any]:
    """A JSON object; InvalidArgumentError for anything else."""
    told = loads(packed or b"{}")
    if not isinstance(told, dict):
        raise InvalidArgumentError(f"a request is a JSON object, not {told!r:.60}")
    return told


def _path(descriptor: flight.FlightDescriptor) -> list[str]:
    try:
        return [part.decode() for part in descriptor.path]
    except UnicodeDecodeError:
        raise InvalidArgumentError("the path is not UTF-8") from None


def _known(what: str, told: dict[str, Any], known: Any) -> dict[str, Any]:
    for name in told:
        if name not in known:
            raise InvalidArgumentError(f"{what} has no {name!r}{nearest_name(name, known)}")
    return told
