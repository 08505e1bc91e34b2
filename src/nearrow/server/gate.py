"""Gate: may another call begin, and has everything ended that was begun?"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nearrow.errors import UnavailableError

MEMORY_LOOK_SECONDS = 0.2
PROCESS_STATUS = Path("/proc/self/status")


class Gate:
    """Counts calls. A call is *open* while its RPC lasts and *busy* while it is worked on. Thread-safe."""

    def __init__(self, calls_max: int, memory_bytes_max: int | None, memory: Callable[[], int] | None = None) -> None:
        self._calls_max = calls_max
        self._memory_bytes_max = memory_bytes_max
        self._memory = memory or anonymous_bytes
        self._looked = (0.0, 0)
        self._changed = threading.Condition()
        self._draining = False
        self.open = 0
        self.busy = 0

    @property
    def draining(self) -> bool:
        return self._draining

    def enter(self) -> None:
        """Begin a call; UnavailableError if the server is full or about to stop. Each needs a `leave`."""
        with self._changed:
            self._check_draining()
            if self.open >= self._calls_max:
                raise UnavailableError(f"the server has {self.open} calls open, which is all that it takes; try again")
            if self._memory_bytes_max is not None and self._memory_now() > self._memory_bytes_max:
                raise UnavailableError(f"the server has used its {self._memory_bytes_max:,} bytes of memory; try again")
            self.open += 1

    def leave(self) -> None:
        with self._changed:
            self.open -= 1
            self._changed.notify_all()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Something of an open call is worked on; UnavailableError if the server is about to stop."""
        self.begin_work()
        try:
            yield
        finally:
            self.end_work()

    def begin_work(self) -> None:
        with self._changed:
            self._check_draining()
            self.busy += 1

    def end_work(self) -> None:
        with self._changed:
            self.busy -= 1
            self._changed.notify_all()

    def drain(self, seconds: float) -> bool:
        """Refuse all that is new, and wait until nothing is worked on; False if that takes longer."""
        with self._changed:
            self._draining = True
            return self._changed.wait_for(lambda: self.busy == 0, seconds)

    def _check_draining(self) -> None:
        if self._draining:
            raise UnavailableError("the server is about to stop; connect again in a moment")

    def _memory_now(self) -> int:
        now = time.monotonic()
        if now - self._looked[0] > MEMORY_LOOK_SECONDS:
            self._looked = (now, self._memory())
        return self._looked[1]


def anonymous_bytes() -> int:
    """Memory of this process that is not mapped from files; 0 where /proc does not tell."""
    if not PROCESS_STATUS.exists():
        return 0
    lines = PROCESS_STATUS.read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:")), 0)
