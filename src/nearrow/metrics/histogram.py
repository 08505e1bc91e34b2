"""Histogram: how long did calls take, known to 5 % at any percentile, for a fraction of a microsecond a call?

A call appends its seconds to a list, which is atomic and takes no lock; every few thousand of them are counted into
buckets at once. The buckets' bounds grow by 2^(1/8), from a microsecond to half an hour.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FIRST_SECONDS = 1e-6
STEPS = 8  # buckets for each doubling
BUCKETS = 31 * STEPS
FOLD_AT = 4096


@dataclass(frozen=True)
class Latencies:
    """What a histogram held at one moment. `buckets[i]` counts calls up to FIRST_SECONDS · 2^(i / STEPS)."""

    count: int
    seconds: float
    longest: float
    buckets: npt.NDArray[np.int64]

    @classmethod
    def none(cls) -> Latencies:
        return cls(0, 0.0, 0.0, np.zeros(BUCKETS, np.int64))

    def __add__(self, other: Latencies) -> Latencies:
        longest = max(self.longest, other.longest)
        return Latencies(self.count + other.count, self.seconds + other.seconds, longest, self.buckets + other.buckets)

    def percentile(self, percent: float) -> float | None:
        """The seconds within which `percent` of the calls ended, at most 5 % off; None if there were none."""
        if self.count == 0:
            return None
        rank = max(1, int(np.ceil(self.count * percent / 100)))
        bucket = int(np.searchsorted(np.cumsum(self.buckets), rank))
        middle = FIRST_SECONDS * 2.0 ** ((bucket - 0.5) / STEPS)
        return min(float(middle), self.longest)


class Histogram:
    """Seconds of calls: append them to `pending`, and `fold()` when there are FOLD_AT. Thread-safe."""

    __slots__ = ("_buckets", "_count", "_lock", "_longest", "_seconds", "pending")

    def __init__(self) -> None:
        self.pending: list[float] = []
        self._lock = threading.Lock()
        self._buckets: npt.NDArray[np.int64] = np.zeros(BUCKETS, np.int64)
        self._count = 0
        self._seconds = 0.0
        self._longest = 0.0

    def read(self) -> Latencies:
        """All calls so far."""
        self.fold()
        with self._lock:
            return Latencies(self._count, self._seconds, self._longest, self._buckets.copy())

    def fold(self) -> None:
        """Count what is pending."""
        with self._lock:
            # Others go on appending to the same list: what is taken is cut off in front, so that no call is lost.
            count = len(self.pending)
            taken = np.array(self.pending[:count])
            del self.pending[:count]
            if count == 0:
                return
            self._count += count
            self._seconds += float(taken.sum())
            self._longest = max(self._longest, float(taken.max()))
            self._buckets += np.bincount(_bucket_of(taken), minlength=BUCKETS)


def _bucket_of(seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    steps = np.ceil(np.log2(np.maximum(seconds, FIRST_SECONDS) / FIRST_SECONDS) * STEPS)
    return np.minimum(steps, BUCKETS - 1).astype(np.int64)
