"""Service: how does each RPC of Arrow Flight become a call of the database?

Every RPC passes `calls.CallFactory` first. The methods here unpack what was sent, check the role, and delegate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pyarrow import flight

from nearrow.errors import InvalidArgumentError
from nearrow.schema import nearest_name
from nearrow.server.acting import answer
from nearrow.server.auth import Tokens
from nearrow.server.backend import Backend
from nearrow.server.calls import MIDDLEWARE, CallFactory, Observe, answering
from nearrow.server.exchanging import exchange
from nearrow.server.listing import flight_info, flight_infos
from nearrow.server.reading import read
from nearrow.server.wire.actions import ACTIONS, READ, WRITE
from nearrow.server.wire.requests import ExchangeCommand, PutCommand, collection_of, object_of, ticket_of
from nearrow.server.wire.values import dumps
from nearrow.server.writing import put


@dataclass(frozen=True)
class TransportSecurity:
    """TLS: PEM texts. client_ca: clients must show a certificate that it has signed (mTLS)."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None = None


class Service(flight.FlightServerBase):
    """Serves as soon as it is made."""

    def __init__(
        self,
        location: str,
        backend: Backend,
        tokens: Tokens,
        security: TransportSecurity | None,
        observe: Observe,
    ) -> None:
        self._backend = backend
        super().__init__(
            location,
            tls_certificates=None if security is None else [(security.certificate, security.key)],
            verify_client=security is not None and security.client_ca is not None,
            root_certificates=None if security is None else security.client_ca,
            middleware={MIDDLEWARE: CallFactory(tokens, backend.gate, observe)},
        )

    def list_flights(self, context: Any, criteria: bytes) -> Iterator[flight.FlightInfo]:
        with answering(context) as call:
            call.principal.require(READ)
            return iter(list(flight_infos(self._backend)))

    def get_flight_info(self, context: Any, descriptor: flight.FlightDescriptor) -> flight.FlightInfo:
        with answering(context) as call:
            call.principal.require(READ)
            return flight_info(self._backend.collection(collection_of(descriptor)))

    def get_schema(self, context: Any, descriptor: flight.FlightDescriptor) -> flight.SchemaResult:
        with answering(context) as call:
            call.principal.require(READ)
            return flight.SchemaResult(self._backend.collection(collection_of(descriptor)).schema)

    def do_get(self, context: Any, ticket: flight.Ticket) -> flight.FlightDataStream:
        with answering(context) as call:
            call.principal.require(READ)
            self._backend.limits.check_request(len(ticket.ticket))
            do, arguments = ticket_of(ticket)
            call.about.update(do=do, collection=arguments.get("collection"))
            return read(self._backend, call, do, arguments)

    def do_put(self, context: Any, descriptor: flight.FlightDescriptor, reader: Any, writer: Any) -> None:
        with answering(context) as call:
            call.principal.require(WRITE)
            command = PutCommand.from_descriptor(descriptor)
            call.about.update(do=command.write, collection=command.collection)
            put(self._backend, command, reader, writer.write)

    def do_exchange(self, context: Any, descriptor: flight.FlightDescriptor, reader: Any, writer: Any) -> None:
        with answering(context) as call:
            call.principal.require(READ)
            exchange(self._backend, call, ExchangeCommand.from_descriptor(descriptor), reader, writer)

    def list_actions(self, context: Any) -> list[tuple[str, str]]:
        with answering(context) as call:
            call.principal.require(READ)
            return [(action.name, action.description) for action in ACTIONS.values()]

    def do_action(self, context: Any, action: flight.Action) -> list[flight.Result]:
        with answering(context) as call:
            name = action.type
            if name not in ACTIONS:
                raise InvalidArgumentError(f"unknown action {name!r:.60}{nearest_name(name, ACTIONS)}")
            call.principal.require(ACTIONS[name].role)
            self._backend.limits.check_request(action.body.size)
            arguments = object_of(action.body.to_pybytes())
            call.about.update(action=name, collection=arguments.get("collection"))
            return [flight.Result(dumps(answer(self._backend, name, arguments)))]
