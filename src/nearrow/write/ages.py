"""Ages: since when has a segment, or the newest memtable, been there?

Counted from when this writer first saw it; a collection that is opened again counts anew.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable


class Ages:
    """When each thing was first seen. For one thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._first_seen: dict[Hashable, float] = {}

    def look(self, present: Iterable[Hashable]) -> dict[Hashable, float]:
        """Seconds since each of `present` was first seen; others are forgotten."""
        now = self._clock()
        self._first_seen = {thing: self._first_seen.get(thing, now) for thing in present}
        return {thing: now - since for thing, since in self._first_seen.items()}
