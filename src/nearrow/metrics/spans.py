"""Spans: does the application trace with OpenTelemetry, and how does it see our calls?

A span is made when a call has ended, with the times that were measured anyway, below the span that is current then. It
costs nothing where the library is missing, and one look-up where the application has set up no tracing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

NANOSECONDS = 1_000_000_000


@lru_cache(maxsize=1)
def tracing() -> Any:
    """The module `opentelemetry.trace`; None where it is not installed."""
    if find_spec("opentelemetry") is None:
        return None
    trace = import_module("opentelemetry.trace")
    trace.get_tracer_provider()  # sets the one that the environment names, if it does
    return trace


def heard(trace: Any) -> bool:
    """Whether somebody may want to be told of calls. Asking OpenTelemetry itself costs a microsecond, which is much of a
    search: as long as no provider is set, its own variable says so; a version without that variable is asked."""
    return trace is not None and getattr(trace, "_TRACER_PROVIDER", trace) is not None


def emit_span(
    trace: Any, operation: str, labels: Mapping[str, str], rows: int, seconds: float, error: BaseException | None
) -> None:
    """Tell the application's tracer, if it has one, of a call that took `seconds` and ends now."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):  # stands for none
        return
    attributes: dict[str, str | int] = {"db.system": "nearrow", "nearrow.rows": rows}
    attributes.update((f"nearrow.{name}", value) for name, value in labels.items())
    end = time.time_ns()
    begin = end - int(seconds * NANOSECONDS)
    span = provider.get_tracer("nearrow").start_span(f"nearrow.{operation}", start_time=begin, attributes=attributes)
    if error is not None:
        span.record_exception(error)
        span.set_status(trace.Status(trace.StatusCode.ERROR, type(error).__name__))
    span.end(end_time=end)
