"""Demo run: what does the demo do and measure?

Every step goes through the public API, the way a user's program would.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import nearrow
from nearrow.cli.demo_data import DemoSet
from nearrow.cli.reopen import Reopened, in_new_process

COLLECTION = "wordnet"
K = 10
ROUNDS = 5
FILE_KINDS = {  # how a file name ends → what we call it: rows with their vectors (Arrow), graph with its codes, …
    "rows.arrow": "rows",
    "graph.bin": "graph",
    "ids.bin": "ids",
    ".log": "log",
    ".json": "manifests",
}


@dataclass(frozen=True)
class Answer:
    """One stored query and its nearest rows."""

    word: str
    hits: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class DemoResult:
    """Everything that the demo measured. Times in seconds, milliseconds or microseconds as named; sizes in bytes."""

    rows: int
    dimension: int
    index_seconds: float
    answers: tuple[Answer, ...]
    search_us_p50: float
    search_us_p95: float
    batch_queries_per_second: float
    recall_at_10: float
    exact_us_p50: float
    bytes_by_kind: dict[str, int]
    reopened: Reopened
    same_answer: bool

    @property
    def vectors_per_second(self) -> float:
        return self.rows / self.index_seconds

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "vectors_per_second": self.vectors_per_second}


def index_rows(db: nearrow.Database, demo: DemoSet, *, progress: bool) -> tuple[nearrow.Collection, float]:
    """Add all rows with one durable call, wait for the graph; return the collection and how long that took."""
    collection = db.create_collection(COLLECTION, dimension=demo.dimension, metric="cosine", durability="full")
    started = time.perf_counter()
    collection.add(demo.rows, progress=progress)
    collection.flush()  # a small set would stay in the log and in memory, where there is nothing to show
    collection.wait()
    return collection, time.perf_counter() - started


def answer(collection: nearrow.Collection, demo: DemoSet, hits_per_query: int) -> tuple[Answer, ...]:
    """The stored queries that are for show, with their nearest rows."""
    found = collection.search(demo.vectors[: demo.shown], k=hits_per_query)
    return tuple(
        Answer(word, tuple(hits.to_list())) for word, hits in zip(demo.words[: demo.shown], found, strict=True)
    )


def search_times_us(
    collection: nearrow.Collection, vectors: np.ndarray[Any, Any], *, rounds: int, exact: bool
) -> list[float]:
    """Microseconds of each single search, up to its ids and distances, after a round that warms up."""
    times: list[float] = []
    for round_number in range(rounds + 1):
        for vector in vectors:
            started = time.perf_counter()
            collection.search(vector, k=K, exact=exact).ids  # noqa: B018 (ids are read when they are asked for)
            if round_number > 0:
                times.append(1e6 * (time.perf_counter() - started))
    return times


def recall(found: Sequence[nearrow.Hits], exact: Sequence[nearrow.Hits]) -> float:
    """The mean share of the exact nearest rows that were found."""
    shares = [len(set(a.ids) & set(b.ids)) / len(b.ids) for a, b in zip(found, exact, strict=True)]
    return statistics.fmean(shares)


def sizes(library: Path) -> dict[str, int]:
    """Bytes on disk by kind of file, largest first."""
    totals: dict[str, int] = {}
    for file in library.rglob("*"):
        if file.is_file():
            kind = next((kind for end, kind in FILE_KINDS.items() if file.name.endswith(end)), "other")
            totals[kind] = totals.get(kind, 0) + file.stat().st_size
    return dict(sorted(totals.items(), key=lambda item: -item[1]))


def run(demo: DemoSet, library: Path, *, progress: bool, hits_per_query: int = 3) -> DemoResult:
    """Index, answer, measure, close, reopen in a new process."""
    with nearrow.connect(str(library)) as db:
        collection, index_seconds = index_rows(db, demo, progress=progress)
        answers = answer(collection, demo, hits_per_query)
        times_us = search_times_us(collection, demo.vectors, rounds=ROUNDS, exact=False)
        exact_us = search_times_us(collection, demo.vectors[:50], rounds=1, exact=True)
        started = time.perf_counter()
        found = collection.search(demo.vectors, k=K)
        batch_seconds = time.perf_counter() - started
        found_exactly = collection.search(demo.vectors, k=K, exact=True)
    query_file = library.parent / f"{library.name}-query.npy"
    np.save(query_file, demo.vectors[0])
    try:
        reopened = in_new_process(library, COLLECTION, query_file)
    finally:
        query_file.unlink()
    return DemoResult(
        rows=len(demo.rows),
        dimension=demo.dimension,
        index_seconds=index_seconds,
        answers=answers,
        search_us_p50=statistics.median(times_us),
        search_us_p95=statistics.quantiles(times_us, n=20)[-1],
        batch_queries_per_second=len(demo.vectors) / batch_seconds,
        recall_at_10=recall(found, found_exactly),
        exact_us_p50=statistics.median(exact_us),
        bytes_by_kind=sizes(library),
        reopened=reopened,
        same_answer=reopened.ids == tuple(str(value) for value in found[0].ids),
    )
