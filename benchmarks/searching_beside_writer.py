"""Searching beside a writer: do more searchers find more while rows are being written?

    python -m benchmarks.searching_beside_writer [--rows N] [--seconds 4]

WordNet in one collection; a writer upserts single rows, each with an fsync. Beside it search 1 and 2 threads of the writer's
process, and 1 and 2 processes that opened the collection to read and `refresh()` after every 20 searches. Threads share
Python's lock with the writer, processes do not. Prints searches and upserts per second.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from typing import Any

import numpy as np

import nearrow
from benchmarks.data import load, wordnet_table

K = 10
FRESH_IDS = 2000
REFRESH_EVERY = 20
COUNTS = (1, 2)


def searches(docs: nearrow.Collection, queries: np.ndarray, seconds: float, between: Callable[[int], None]) -> int:
    """How many searches one searcher makes in the time."""
    number, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        docs.search(queries[number % len(queries)], k=K, columns=[]).ids.tolist()
        number += 1
        between(number)
    return number


def read(folder: str, queries: np.ndarray, seconds: float, ready: Barrier, found: Any) -> None:
    """A reader process."""
    with nearrow.connect(folder, read_only=True) as database:
        docs = database.collection("words")
        docs.search(queries[0], k=K)
        ready.wait()
        found.put(searches(docs, queries, seconds, lambda n: docs.refresh() if n % REFRESH_EVERY == 0 else None))


def by_threads(docs: nearrow.Collection, queries: np.ndarray, seconds: float, count: int) -> int:
    found: list[int] = []

    def search() -> None:
        found.append(searches(docs, queries, seconds, lambda n: None))

    threads = [threading.Thread(target=search) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(found)


def by_processes(folder: str, queries: np.ndarray, seconds: float, count: int) -> int:
    context = multiprocessing.get_context("spawn")
    ready, found = context.Barrier(count), context.Queue()
    children = [context.Process(target=read, args=(folder, queries, seconds, ready, found)) for _ in range(count)]
    for child in children:
        child.start()
    total = sum(found.get() for _ in children)
    for child in children:
        child.join()
    return total


class Writer:
    """A thread that upserts one row after another inside the block."""

    def __init__(self, docs: nearrow.Collection, vectors: np.ndarray) -> None:
        self._docs, self._vectors = docs, vectors
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self.rate = 0.0

    def _write(self) -> None:
        number, began = 0, time.perf_counter()
        while not self._stop.is_set():
            row = self._vectors[number % len(self._vectors)]
            self._docs.upsert(ids=[f"fresh-{number % FRESH_IDS}"], vectors=row[None, :])
            number += 1
        self.rate = number / (time.perf_counter() - began)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="of WordNet (default: all)")
    parser.add_argument("--seconds", type=float, default=4.0)
    asked = parser.parse_args()
    queries = load("wordnet").queries
    vectors = np.ascontiguousarray(load("wordnet").base[: 2 * FRESH_IDS])
    with tempfile.TemporaryDirectory() as folder, nearrow.connect(folder) as database:
        docs = database.create_collection("words", 384, metric="cosine")
        docs.add(wordnet_table().slice(0, asked.rows))
        docs.wait()
        ways: dict[str, Callable[[int], int]] = {
            "threads": lambda count: by_threads(docs, queries, asked.seconds, count),
            "processes": lambda count: by_processes(folder, queries, asked.seconds, count),
        }
        for name, search in ways.items():
            for count in COUNTS:
                docs.compact()  # each begins with one segment and nothing fresh
                alone = search(count) / asked.seconds
                with Writer(docs, vectors) as writer:
                    beside = search(count) / asked.seconds
                print(
                    f"{count} {name}: {alone:,.0f} searches/s alone, {beside:,.0f}/s beside {writer.rate:,.0f} upserts/s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
