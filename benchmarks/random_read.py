"""Random reads: how long does this machine take to fetch one row from a table of a given size, at best?

The floor under a graph walk: rows of codes, neighbour lists and vectors are read in an order that nothing can foresee.
Here it is known beforehand: every row is fetched several rows ahead, as many as is best, into large pages. No walk, which
learns its next rows from the ones it reads, can fetch faster. Compiled on the spot (`cc`, or what CC names).
"""

from __future__ import annotations

import ctypes
import functools
import os
import subprocess
import time
from pathlib import Path

import numpy as np

from benchmarks.data import cache_folder

SOURCE = Path(__file__).with_suffix(".c")
AHEAD = (2, 4, 8, 16, 32, 64)  # rows
READS = 1 << 16  # of a pass
PASSES = 16  # over other rows each, so that none finds what the one before left in a cache
LINE = 64


@functools.cache
def _library() -> ctypes.CDLL:
    cache_folder().mkdir(parents=True, exist_ok=True)
    compiled = cache_folder() / "random_read.so"
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", str(SOURCE), "-o", str(compiled)], check=True)
    library = ctypes.CDLL(str(compiled))
    library.read_table.restype = ctypes.c_void_p
    library.read_table.argtypes = [ctypes.c_size_t]
    library.read_rows.restype = ctypes.c_uint64
    library.read_rows.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t]
    return library


@functools.cache
def _table(size: int) -> int:
    """The address of so many bytes, made once for each power of two; the last ones stay until the process ends."""
    address = _library().read_table(size)
    if not address:
        raise MemoryError(f"no {size} bytes for the table of random reads")
    return int(address)


def nanoseconds_per_row(rows: int, row_bytes: int) -> float:
    """Best mean time to read one random row of `row_bytes`, in whole cache lines, out of `rows` of them."""
    stride = -(-row_bytes // LINE) * LINE
    table = _table(1 << (rows * stride - 1).bit_length())
    orders = np.random.default_rng(0).integers(0, rows, (PASSES, READS), dtype=np.uint32)
    best = float("inf")
    for ahead in AHEAD:
        started = time.perf_counter()
        for order in orders:
            _library().read_rows(table, stride, order.ctypes.data, READS, ahead)
        best = min(best, time.perf_counter() - started)
    return best / orders.size * 1e9
