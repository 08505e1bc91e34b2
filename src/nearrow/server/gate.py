"""Gate: may another call begin, and has everything ended that was begun?"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nearrow.errors import UnavailableError

MEMORY_LOOK_SECONDS = 0.2
LOOK_SECONDS = 0.01
STOPPING = "the server is about to stop; connect again in a moment"
PROCESS_STATUS = Path("/proc/self/status")


class Turn:
    """Whether something of one stream is worked on. REQUIRES: one thread.

    Without a lock, as a lock would be taken twice for every search: `begin` sets `busy` before it looks whether the server
    drains, and `drain` says that it drains before it looks who is busy. So one of the two sees the other.
    """

    __slots__ = ("_gate", "busy")

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.busy = False

    def begin(self) -> None:
        """UnavailableError if the server is about to stop. The end of the stream ends this, too."""
        self.busy = True
        if self._gate.draining:
            self.busy = False
            raise UnavailableError(STOPPING)

    def end(self) -> None:
        self.busy = False


class Gate:
    """Counts calls. A call is *open* while its RPC lasts and *busy* while it is worked on. Thread-safe."""

    def __init__(self, calls_max: int, memory_bytes_max: int | None, memory: Callable[[], int] | None = None) -> None:
        self._calls_max = calls_max
        self._memory_bytes_max = memory_bytes_max
        self._memory = memory or anonymous_bytes
        self._looked = (0.0, 0)
        self._changed = threading.Condition()
        self._draining = False
        self._turns: set[Turn] = set()
        self._working = 0
        self.open = 0

    @property
    def busy(self) -> int:
        """How many calls are worked on."""
        with self._changed:
            return self._working + sum(turn.busy for turn in self._turns)

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
    def stream(self) -> Iterator[Turn]:
        """An open call that is worked on only now and then: between the turn's `begin` and `end`."""
        turn = Turn(self)
        with self._changed:
            self._turns.add(turn)
        try:
            yield turn
        finally:
            with self._changed:
                self._turns.discard(turn)
                self._changed.notify_all()

    def begin_work(self) -> None:
        with self._changed:
            self._check_draining()
            self._working += 1

    def end_work(self) -> None:
        with self._changed:
            self._working -= 1
            self._changed.notify_all()

    def drain(self, seconds: float) -> bool:
        """Refuse all that is new, and wait until nothing is worked on; False if that takes longer."""
        ends = time.monotonic() + seconds
        with self._changed:
            self._draining = True
            while self.busy:
                left = ends - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(min(left, LOOK_SECONDS))  # a turn that ends wakes nobody
            return True

    def _check_draining(self) -> None:
        if self._draining:
            raise UnavailableError(STOPPING)

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
