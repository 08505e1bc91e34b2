"""Sync turn: which thread does the fsync that many wait for?

One thread leads and syncs; those that come meanwhile wait, and when it is done all whose record was covered leave at once
(a mutex would hold them up behind the next fsync). One of the others leads next.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

_WAIT = 1.0  # of an fsync's time, for all of them
_PAUSE = 0.5  # of an fsync's time: if nobody came for so long, nobody will
_NOBODY = 1 << 62  # an LSN that no record reaches


class SyncTurn:
    """The right to sync, and the LSN up to which it was done. `with turn:` steps down at the end. Thread-safe."""

    def __init__(self, durable_lsn: int) -> None:
        self._condition = threading.Condition(threading.Lock())
        self._leading = False
        self._durable_lsn = durable_lsn
        self._expected = 1  # records that the last fsync covered or made wait, and how long it took
        self._seconds = 0.0
        self._goal = _NOBODY  # the record that the leader waits for
        self._all_came = threading.Event()

    @property
    def taken(self) -> bool:
        """A thread leads now."""
        return self._leading

    def lead(self, lsn: int | None = None) -> bool:
        """True: this thread leads now, until it steps down. False: `lsn` became durable meanwhile."""
        with self._condition:
            while True:
                if lsn is not None and lsn <= self._durable_lsn:
                    return False
                if not self._leading:
                    self._leading = True
                    return True
                self._condition.wait()

    def await_others(self, last_lsn: Callable[[], int]) -> None:
        """Waits a little for the threads that shared the last fsync: they come back at once, but one comes first.

        Without this, the first one's fsync covers its record alone and all others wait for the next one; or two halves
        take turns for ever. As long as they keep coming it is worth an fsync's time at most; once none comes, it is not.
        """
        goal = self._durable_lsn + self._expected
        if last_lsn() >= goal:
            return
        self._all_came.clear()
        self._goal = goal
        before, now = -1, time.monotonic()
        deadline = now + self._seconds * _WAIT
        while before < (came := last_lsn()) < goal and now < deadline:
            self._all_came.wait(min(self._seconds * _PAUSE, deadline - now))
            before, now = came, time.monotonic()
        self._goal = _NOBODY

    def appended(self, lsn: int) -> None:
        """A record was written: the leader may wait for just that one."""
        if lsn >= self._goal:
            self._goal = _NOBODY
            self._all_came.set()

    def done(self, lsn: int, last_lsn: int, seconds: float) -> None:
        """The leader made all records up to `lsn` durable; meanwhile others were written, up to `last_lsn`."""
        self._expected = last_lsn - self._durable_lsn
        self._seconds = seconds
        self._durable_lsn = lsn

    def __enter__(self) -> None:
        """REQUIRES: this thread leads."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._condition:
            self._leading = False
            self._condition.notify_all()
