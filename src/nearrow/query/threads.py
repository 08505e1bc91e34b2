"""Threads: is there enough to be done that two cores are better than one?"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pyarrow as pa

Result = TypeVar("Result")
Item = TypeVar("Item")
ROWS_MIN = 200_000
PIECE_ROWS = 1 << 16  # divisible by 8, so that bitmaps of pieces join by copying bytes

_pool: ThreadPoolExecutor | None = None
_lock = threading.Lock()


def _forget_pool() -> None:
    global _pool, _lock
    _pool, _lock = None, threading.Lock()  # a forked child has none of its parent's threads


os.register_at_fork(after_in_child=_forget_pool)


def _threads() -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="nearrow-filter")
        return _pool


def mapped(function: Callable[[pa.Array], Result], chunks: list[pa.Array]) -> list[Result]:
    """`function` of each chunk, in order; long columns are cut into pieces and shared by a few threads."""
    if sum(map(len, chunks)) < ROWS_MIN or (os.cpu_count() or 1) == 1:
        return [function(chunk) for chunk in chunks]
    pieces = [chunk.slice(start, PIECE_ROWS) for chunk in chunks for start in range(0, len(chunk), PIECE_ROWS)]
    return list(_threads().map(function, pieces))


def each(function: Callable[[Item], Result], items: Iterable[Item], threads: int) -> list[Result]:
    """`function` of each item, in order; of more than one thread, the items are shared by a few."""
    return [function(item) for item in items] if threads == 1 else list(_threads().map(function, items))
