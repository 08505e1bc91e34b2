"""Write rates: how many durable writes are there in a second?

    python -m benchmarks.write_rates [--folder DIRECTORY]

On the file system of DIRECTORY: the disk's own rate (pwrite + fdatasync of one row's bytes, within the length of a file
and behind it), single-row upserts with an fsync each from one thread, batches of 100, and group commit: one and 16
threads while each fsync takes 5 ms longer, by a directory that sleeps. 384 dimensions, durability "full".
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import nearrow
from benchmarks.data import wordnet_table
from nearrow.database import Database
from nearrow.storage.local import LocalDirectory
from nearrow.storage.local_file import LocalOutputFile

DIMENSION = 384
ROW_BYTES = 1920  # of one upsert's log record
PASSES = 3
SLOWER_SECONDS = 0.005


class SlowFile(LocalOutputFile):
    """A file on a disk whose fsync takes longer."""

    def sync(self) -> None:
        super().sync()
        time.sleep(SLOWER_SECONDS)


class SlowDirectory(LocalDirectory):
    """A directory on such a disk."""

    def create(self, name: str, *, preallocate: int = 0) -> LocalOutputFile:
        return SlowFile(self._writable(name), name, preallocate)

    def folder(self, name: str) -> LocalDirectory:
        below = SlowDirectory.__new__(SlowDirectory)
        below._path, below._read_only = self._at(name), self._read_only
        return below


def disk_rate(folder: str, count: int, *, preallocated: bool) -> float:
    """fdatasyncs per second, each after a write of one row's bytes."""
    path, row = os.path.join(folder, "bare"), bytes(ROW_BYTES)
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    try:
        if preallocated:
            os.pwrite(descriptor, bytes(count * ROW_BYTES), 0)
            os.fsync(descriptor)
        began = time.perf_counter()
        for turn in range(count):
            os.pwrite(descriptor, row, turn * ROW_BYTES)
            os.fdatasync(descriptor)
        return count / (time.perf_counter() - began)
    finally:
        os.close(descriptor)
        os.unlink(path)


def single_rows(docs: nearrow.Collection, vectors: np.ndarray, prefix: str) -> None:
    for number in range(len(vectors)):
        docs.upsert(ids=[f"{prefix}-{number}"], vectors=vectors[number : number + 1])


def batches(docs: nearrow.Collection, vectors: np.ndarray, size: int) -> None:
    """Upserts of `size` rows; ids and vectors as Arrow, made before the clock runs."""
    flat = pa.array(vectors.ravel())
    tables = []
    for start in range(0, len(vectors), size):
        rows = pa.FixedSizeListArray.from_arrays(flat.slice(start * DIMENSION, size * DIMENSION), DIMENSION)
        ids = pa.array([f"{start + place}" for place in range(len(rows))])
        tables.append(pa.RecordBatch.from_arrays([ids, rows], names=["id", "vector"]))
    for table in tables:
        docs.upsert(table)


def threads_rate(docs: nearrow.Collection, vectors: np.ndarray, count: int) -> float:
    """Single-row upserts per second of `count` threads together."""
    pieces = np.array_split(vectors, count)
    threads = [
        threading.Thread(target=single_rows, args=(docs, piece, f"{count}-{number}"))
        for number, piece in enumerate(pieces)
    ]
    return rate(len(vectors), lambda: [each(threads, "start"), each(threads, "join")])


def each(things: list[threading.Thread], verb: str) -> None:
    for thing in things:
        getattr(thing, verb)()


def rate(count: int, work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)


def collection(directory: LocalDirectory, name: str) -> nearrow.Collection:
    database = Database(directory, str(directory.path))
    return database.create_collection(name, DIMENSION, metric="cosine")


def report(name: str, rates: list[float], unit: str = "/s") -> None:
    shown = ", ".join(f"{value:,.0f}" for value in rates)
    print(f"{name}: best {max(rates):,.0f}{unit} (passes: {shown})", flush=True)


def measure(folder: str, rows: int) -> None:
    vectors = wordnet_table()["vector"].slice(0, 20 * rows).combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors = np.ascontiguousarray(vectors.reshape(-1, DIMENSION), np.float32)
    directory = LocalDirectory(Path(folder) / "library")
    found: dict[str, list[float]] = {}
    for turn in range(PASSES):  # interleaved: what disturbs one disturbs the others, too
        found.setdefault("fdatasync within the file", []).append(disk_rate(folder, rows, preallocated=True))
        found.setdefault("fdatasync behind its end", []).append(disk_rate(folder, rows, preallocated=False))
        single = collection(directory, f"single-{turn}")
        found.setdefault("one-row upserts", []).append(
            rate(rows, lambda docs=single: single_rows(docs, vectors[:rows], "row"))  # type: ignore[misc]
        )
        batched = collection(directory, f"batches-{turn}")
        found.setdefault("rows, batches of 100", []).append(
            rate(20 * rows, lambda docs=batched: batches(docs, vectors, 100))  # type: ignore[misc]
        )
        batched.wait()
        single.close()
        batched.close()
    for name, rates in found.items():
        report(name, rates)
    slow = collection(SlowDirectory(Path(folder) / "slow"), "slow")
    one = threads_rate(slow, vectors[:200], 1)
    many = threads_rate(slow, vectors[:4000], 16)
    slow.close(wait=False)
    print(f"with 5 ms more for each fsync: 1 thread {one:,.0f}/s, 16 threads {many:,.0f}/s, {many / one:.1f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4000, help="one-row upserts in a pass")
    parser.add_argument("--folder", type=Path, help="where the database is made (default: a temporary folder)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        measure(folder, asked.rows)


if __name__ == "__main__":
    main()
