"""Random reads: how long does this machine take to fetch one row from a table of a given size, at best?

The floor under a graph walk: rows of codes, neighbour lists and vectors are read in an order that nothing can foresee.
Measured with gathers of 512 rows whose numbers are known beforehand, so that the processor overlaps as many misses as it
can: no walk, which learns its next rows from the ones it reads, can fetch faster.
"""

from __future__ import annotations

import time

import numpy as np

GATHER_ROWS = 512
REPEATS = 5


def nanoseconds_per_row(rows: int, row_bytes: int, *, seconds: float = 0.4) -> float:
    """Best mean time to copy one random row of `row_bytes` out of `rows` of them."""
    words = max(1, -(-row_bytes // 8))
    table = np.ones((rows, words), np.int64)
    out = np.empty((GATHER_ROWS, words), np.int64)
    wanted = np.random.default_rng(0).integers(0, rows, (256, GATHER_ROWS))
    best = float("inf")
    for _ in range(REPEATS):
        fetched, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds / REPEATS:
            for numbers in wanted:
                np.take(table, numbers, axis=0, out=out, mode="clip")
            fetched += wanted.size
        best = min(best, (time.perf_counter() - started) / fetched)
    return best * 1e9
