"""Cache: has this filter been evaluated on this part before? Parts are immutable, so a bitmap stays right for ever."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from nearrow.query.filter.bits import Bits

Cached = TypeVar("Cached")
ENTRY_BYTES = 256  # what an entry costs besides its value, roughly
BYTES_DEFAULT = 64 << 20


@dataclass(frozen=True)
class CacheStats:
    entries: int
    bytes: int
    hits: int
    misses: int


class BytesCache(Generic[Cached]):
    """Values by (part key, key), the least recently used dropped first beyond `bytes_max`. Thread-safe.

    REQUIRES: the part's key names immutable rows; values are shared, so nobody writes to them.
    """

    def __init__(self, bytes_max: int = BYTES_DEFAULT) -> None:
        self.bytes_max = bytes_max
        self._entries: OrderedDict[tuple[Hashable, Hashable], tuple[Cached, int]] = OrderedDict()
        self._bytes = 0
        self._hits = 0
        self._misses = 0
        self._lock = threading.Lock()

    def get(self, part: Hashable, key: Hashable) -> Cached | None:
        with self._lock:
            entry = self._entries.get((part, key))
            if entry is None:
                self._misses += 1
                return None
            self._hits += 1
            self._entries.move_to_end((part, key))
            return entry[0]

    def put_sized(self, part: Hashable, key: Hashable, value: Cached, size: int) -> None:
        """Keep `value`, which takes `size` bytes; one that is larger than the whole cache is not kept."""
        cost = size + ENTRY_BYTES
        if cost > self.bytes_max:
            return
        with self._lock:
            self._bytes += cost - self._entries.pop((part, key), (None, 0))[1]
            self._entries[(part, key)] = (value, cost)
            while self._bytes > self.bytes_max:
                _, (_, dropped) = self._entries.popitem(last=False)
                self._bytes -= dropped

    def keep_parts(self, parts: Collection[Hashable]) -> None:
        """Drop what belongs to other parts: they were merged away."""
        with self._lock:
            for key in [key for key in self._entries if key[0] not in parts]:
                self._bytes -= self._entries.pop(key)[1]

    def stats(self) -> CacheStats:
        with self._lock:
            return CacheStats(len(self._entries), self._bytes, self._hits, self._misses)


class BitmapCache(BytesCache[Bits]):
    """The bitmaps of filters, by (part key, filter key)."""

    def put(self, part: Hashable, filter: Hashable, bits: Bits) -> None:
        bits.flags.writeable = False
        self.put_sized(part, filter, bits, bits.nbytes)
