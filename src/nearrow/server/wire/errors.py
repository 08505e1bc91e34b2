"""Wire errors: how does an error cross the wire and come out as the class that it was?

A Flight error carries a JSON object beside its message, {"error": class, "message": text}; a client that knows nothing
of it still sees the class and the text in the message.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
from pyarrow import flight

from nearrow import errors
from nearrow.errors import AccessDeniedError, InvalidArgumentError, NearrowError, UnavailableError

_TRANSPORT = (
    flight.FlightUnavailableError,
    flight.FlightTimedOutError,
    flight.FlightCancelledError,
    flight.FlightInternalError,
)


def to_flight(error: BaseException) -> flight.FlightError:
    """The Flight error that says the same. An error that is not Nearrow's tells its class and nothing else."""
    if isinstance(error, flight.FlightError):
        return error
    if isinstance(error, (pa.ArrowInvalid, pa.ArrowKeyError, pa.ArrowTypeError)):
        error = InvalidArgumentError(f"the Arrow data is malformed: {str(error).splitlines()[0]}")
    if not isinstance(error, NearrowError):
        error = NearrowError(f"the server failed ({type(error).__name__}); its log says where")
    name = _public_name(type(error))
    details = json.dumps({"error": name, "message": str(error)}).encode()
    message = f"{name}: {error}"
    if isinstance(error, AccessDeniedError):
        return flight.FlightUnauthenticatedError(message, details)
    if isinstance(error, UnavailableError):
        return flight.FlightUnavailableError(message, details)
    return flight.FlightServerError(message, details)


def from_flight(error: Exception) -> NearrowError:
    """Nearrow's error for what pyarrow.flight raised: the server's own, or UnavailableError if nothing came of it."""
    told = _details(error)
    if told is not None:
        kind = getattr(errors, str(told.get("error")), NearrowError)
        known = isinstance(kind, type) and issubclass(kind, NearrowError)
        return (kind if known else NearrowError)(str(told.get("message")))
    text = str(error).partition(". Detail:")[0].partition(". gRPC client debug context")[0]
    if isinstance(error, (flight.FlightUnauthenticatedError, flight.FlightUnauthorizedError)):
        return AccessDeniedError(f"the server refuses: {text}")
    if is_transport(error):
        return UnavailableError(f"the server did not answer: {text}; is it running, and is this its address?")
    return NearrowError(f"the server failed: {text}")


def is_transport(error: Exception) -> bool:
    """Whether the connection failed, so that what was asked may or may not have happened."""
    return isinstance(error, _TRANSPORT) and _details(error) is None


def _details(error: Exception) -> dict[str, Any] | None:
    try:
        told = json.loads(getattr(error, "extra_info", None) or b"null")
    except ValueError:
        return None
    return told if isinstance(told, dict) and "error" in told else None


def _public_name(kind: type[NearrowError]) -> str:
    """The class itself if users know it, else the nearest of its bases that they know."""
    return next(base.__name__ for base in kind.__mro__ if base.__name__ in (*errors.__all__, "NearrowError"))
