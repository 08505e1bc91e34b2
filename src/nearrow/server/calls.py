"""Calls: who makes this call, and what is written about it?

The first thing that every RPC passes, whichever it is: the token is checked and the gate asked before any handler runs.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pyarrow import flight

from nearrow.errors import NearrowError
from nearrow.server.auth import HEADER, Principal, Tokens
from nearrow.server.gate import Gate
from nearrow.server.wire.errors import to_flight

logger = logging.getLogger("nearrow.server")

MIDDLEWARE = "nearrow"
Observe = Callable[[str, float, bool], None]
"""Told the name of each call that ended, its seconds, and whether it failed."""


class Call(flight.ServerMiddleware):
    """One RPC, from its first to its last byte. `about` is what the log says of it besides."""

    def __init__(self, method: str, principal: Principal, gate: Gate, observe: Observe) -> None:
        super().__init__()
        self.method = method
        self.principal = principal
        self.about: dict[str, Any] = {}
        self.at_end: list[Callable[[], None]] = []
        """Called when the last byte has been sent, or cannot be."""
        self._gate = gate
        self._observe = observe
        self._began = time.perf_counter()

    def call_completed(self, exception: Exception | None) -> None:
        for free in self.at_end:
            free()
        if self.method != EXCHANGE:
            self._gate.end_work()
        self._gate.leave()
        seconds = time.perf_counter() - self._began
        self._observe(self.about.get("action", self.method), seconds, exception is not None)
        failed = {} if exception is None else {"error": str(exception)[:500]}
        logger.info(
            "call",
            extra={
                "fields": {
                    "method": self.method,
                    "caller": self.principal.name,
                    "ms": round(1000 * seconds, 3),
                    **self.about,
                    **failed,
                }
            },
        )


EXCHANGE = "do_exchange"


class CallFactory(flight.ServerMiddlewareFactory):
    """Lets a call in, or refuses it."""

    def __init__(self, tokens: Tokens, gate: Gate, observe: Observe) -> None:
        super().__init__()
        self._tokens = tokens
        self._gate = gate
        self._observe = observe

    def start_call(self, info: flight.CallInfo, headers: Mapping[str, Sequence[str]]) -> Call:
        method = flight.FlightMethod(info.method).name.lower()
        try:
            principal = self._tokens.principal(headers.get(HEADER, []))
            self._gate.enter()
            try:
                if method != EXCHANGE:  # a stream of questions is worked on only while it has one
                    self._gate.begin_work()
            except NearrowError:
                self._gate.leave()
                raise
        except NearrowError as error:
            logger.warning("refused", extra={"fields": {"method": method, "error": str(error)}})
            raise to_flight(error) from None
        return Call(method, principal, self._gate, self._observe)


@contextmanager
def answering(context: flight.ServerCallContext) -> Iterator[Call]:
    """The call of this RPC; what is raised inside leaves as a Flight error, and what was not expected is logged."""
    try:
        yield context.get_middleware(MIDDLEWARE)
    except NearrowError as error:
        raise to_flight(error) from None
    except flight.FlightError:
        raise
    except Exception as error:
        answer = to_flight(error)
        if "the server failed" in str(answer):
            logger.exception("a call failed in a way that nobody foresaw")
        raise answer from None
