"""SQL: how does a server answer queries that others have written? Each in a process of its own, a few at once."""

from __future__ import annotations

import threading
from typing import Any

import pyarrow as pa

from nearrow.errors import UnavailableError
from nearrow.untrusted import Limits, Sandbox

QUERIES_MAX = 4
"""At once: each is a process."""


class SqlProcesses:
    """Answers SQL over a library. Nothing is started before the first query."""

    def __init__(self, library: str, limits: Limits | None = None, queries_max: int = QUERIES_MAX) -> None:
        self._library = library
        self._limits = limits or Limits()
        self._free = threading.BoundedSemaphore(queries_max)
        self._mutex = threading.Lock()
        self._sandbox: Sandbox | None = None

    def begin(self) -> None:
        """Take a place; UnavailableError if there is none. REQUIRES: `end` when the answer has been sent."""
        if not self._free.acquire(blocking=False):
            raise UnavailableError("the server answers as many SQL queries at once as it may; try again")

    def end(self) -> None:
        self._free.release()

    def run(self, query: str, parameters: Any) -> pa.RecordBatchReader:
        with self._mutex:
            if self._sandbox is None:
                self._sandbox = Sandbox(self._library)
        return self._sandbox.run(query, parameters, limits=self._limits)

    def close(self) -> None:
        with self._mutex:
            if self._sandbox is not None:
                self._sandbox.close()
