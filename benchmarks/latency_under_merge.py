"""Latency under merge: do searches notice that the collection is compacted or written to beside them?

    python -m benchmarks.latency_under_merge [--rows N]

One thread searches WordNet, one query at a time: alone; while another thread compacts two segments of which a fifth was
deleted; and while another one upserts rows, each with an fsync. Then two threads search beside that writer. Prints the
latency's median and its 99th percentile, the ratio to the idle one, and the rates. Needs two processors: with one thread
that searches, one is spare. The ratio is to the latency just before the compaction, of the same segments and deleted rows:
what it is after the compaction says what that was good for, not what it cost.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable

import numpy as np

import nearrow
from benchmarks.data import load, wordnet_table

SECONDS = 4.0
K = 10


def latencies(docs: nearrow.Collection, queries: np.ndarray, until: Callable[[], bool]) -> np.ndarray:
    """Seconds of each search of one thread, as long as `until` says no."""
    found = []
    number = 0
    while not until():
        began = time.perf_counter()
        docs.search(queries[number % len(queries)], k=K, columns=[]).ids.tolist()
        found.append(time.perf_counter() - began)
        number += 1
    return np.array(found)


def for_seconds(seconds: float) -> Callable[[], bool]:
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() > end


def beside(work: Callable[[], None], searching: Callable[[Callable[[], bool]], np.ndarray]) -> tuple[np.ndarray, float]:
    """What `searching` found while `work` ran in another thread, and how long that took."""
    thread = threading.Thread(target=work)
    began = time.perf_counter()
    thread.start()
    found = searching(lambda: not thread.is_alive())
    thread.join()
    return found, time.perf_counter() - began


def report(name: str, found: np.ndarray, idle: float | None = None) -> float:
    """Prints one line; returns the 99th percentile in seconds."""
    tail = float(np.percentile(found, 99))
    ratio = "" if idle is None else f", {tail / idle:.2f} times the idle one"
    print(
        f"{name}: median {np.median(found) * 1e6:,.0f} µs, p99 {tail * 1e6:,.0f} µs{ratio}, "
        f"worst {found.max() * 1e3:.1f} ms, {len(found):,} searches",
        flush=True,
    )
    return tail


def upserts(docs: nearrow.Collection, vectors: np.ndarray, stop: threading.Event) -> None:
    number = 0
    while not stop.is_set():
        docs.upsert(ids=[f"fresh-{number % 2000}"], vectors=vectors[number % len(vectors)][None, :])
        number += 1
    print(f"  (the writer: {number:,} durable upserts)")


def searching_threads(docs: nearrow.Collection, queries: np.ndarray, count: int) -> float:
    """Searches per second of `count` threads together."""
    found: list[int] = []
    end = for_seconds(SECONDS)
    threads = [threading.Thread(target=lambda: found.append(len(latencies(docs, queries, end)))) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(found) / SECONDS


def measure(docs: nearrow.Collection, vectors: np.ndarray, queries: np.ndarray, ids: list[str]) -> None:
    latencies(docs, queries, for_seconds(1.0))  # warm
    report("idle", latencies(docs, queries, for_seconds(SECONDS)))
    with docs.transaction() as change:
        change.delete(ids[: len(ids) // 5])
    idle = report("idle, a fifth deleted", latencies(docs, queries, for_seconds(SECONDS)))
    found, seconds = beside(docs.compact, lambda until: latencies(docs, queries, until))
    report(f"beside a compaction of {seconds:.1f} s", found, idle)
    report("idle, after it", latencies(docs, queries, for_seconds(SECONDS)))
    for count in (1, 2):
        docs.compact()  # each begins with one segment and nothing fresh
        stop = threading.Event()
        writer = threading.Thread(target=upserts, args=(docs, vectors, stop))
        alone = searching_threads(docs, queries, count)
        writer.start()
        written = searching_threads(docs, queries, count)
        stop.set()
        writer.join()
        print(f"{count} searching threads: {alone:,.0f}/s alone, {written:,.0f}/s beside a writer", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="of WordNet (default: all)")
    asked = parser.parse_args()
    rows = wordnet_table().slice(0, asked.rows)
    dataset = load("wordnet")
    with tempfile.TemporaryDirectory() as folder, nearrow.connect(folder) as database:
        docs = database.create_collection("words", 384, metric="cosine")
        for some in (rows.slice(0, len(rows) * 5 // 6), rows.slice(len(rows) * 5 // 6)):
            docs.add(some)
            docs.wait()
        measure(docs, np.ascontiguousarray(dataset.base[:4000]), dataset.queries, rows["id"].to_pylist())


if __name__ == "__main__":
    main()
