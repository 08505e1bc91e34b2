"""Reservations: which row numbers are promised to rows that are not visible yet?"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nearrow.write.state import State


class Reservations:
    """Row numbers given out ahead, of one collection. Thread-safe: guarded by the collection's mutex."""

    def __init__(self, state: State, mutex: threading.RLock) -> None:
        self._state = state
        self._mutex = mutex
        self._firsts: dict[object, int] = {}

    @contextmanager
    def reserving(self) -> Iterator[Callable[[int], int]]:
        """A function that reserves row numbers for rows that become visible later, all at once.

        Until then `stable_row` stays at the first of them: a follower of the row numbers, as the text index is one,
        may only count on rows below it.
        """
        token = object()

        def reserve(rows: int) -> int:
            with self._mutex:
                first = self._state.next_row
                self._firsts.setdefault(token, first)
                self._state.next_row += rows
                return first

        try:
            yield reserve
        finally:
            with self._mutex:
                self._firsts.pop(token, None)

    @property
    def stable_row(self) -> int:
        """Every row that will ever have a number below this is visible now, or dead."""
        with self._mutex:
            return min(self._firsts.values(), default=self._state.next_row)
