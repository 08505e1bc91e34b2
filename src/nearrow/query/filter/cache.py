"""Cache: has this filter been evaluated on this part before? Parts are immutable, so a bitmap stays right for ever."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from nearrow.query.filter.bits import Bits

ENTRY_BYTES = 256  # what an entry costs besides its bitmap, roughly
BYTES_DEFAULT = 64 << 20


@dataclass(frozen=True)
class CacheStats:
    entries: int
    bytes: int
    hits: int
    misses: int


class BitmapCache:
    """Bitmaps by (part key, filter key), the least recently used dropped first beyond `bytes_max`. Thread-safe.

    REQUIRES: the part's key names immutable rows; bitmaps are handed out read-only and shared.
    """

    def __init__(self, bytes_max: int = BYTES_DEFAULT) -> None:
        self._bytes_max = bytes_max
        self._entries: OrderedDict[tuple[Hashable, Hashable], Bits] = OrderedDict()
        self._bytes = 0
        self._hits = 0
        self._misses = 0
        self._lock = threading.Lock()

    def get(self, part: Hashable, filter: Hashable) -> Bits | None:
        with self._lock:
            bits = self._entries.get((part, filter))
            if bits is None:
                self._misses += 1
                return None
            self._hits += 1
            self._entries.move_to_end((part, filter))
            return bits

    def put(self, part: Hashable, filter: Hashable, bits: Bits) -> None:
        cost = bits.nbytes + ENTRY_BYTES
        if cost > self._bytes_max:
            return
        bits.flags.writeable = False
        with self._lock:
            old = self._entries.pop((part, filter), None)
            self._bytes += cost - (0 if old is None else old.nbytes + ENTRY_BYTES)
            self._entries[(part, filter)] = bits
            while self._bytes > self._bytes_max:
                _, dropped = self._entries.popitem(last=False)
                self._bytes -= dropped.nbytes + ENTRY_BYTES

    def forget_part(self, part: Hashable) -> None:
        """Drop what belongs to a part that is gone (merged away, or a closed collection's)."""
        with self._lock:
            for key in [key for key in self._entries if key[0] == part]:
                self._bytes -= self._entries.pop(key).nbytes + ENTRY_BYTES

    def stats(self) -> CacheStats:
        with self._lock:
            return CacheStats(len(self._entries), self._bytes, self._hits, self._misses)
