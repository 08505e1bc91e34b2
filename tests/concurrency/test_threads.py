"""Threads: may any number search while others write?"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import nearrow
from nearrow import Collection

SECONDS = 3.0
DIMENSION = 8
STABLE = 300  # rows that nobody changes


def run_threads(tasks: list[Callable[[], None]]) -> None:
    errors: list[BaseException] = []

    def guarded(task: Callable[[], None]) -> None:
        try:
            task()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("place", ["memory", "local"])
def test_eight_searching_and_two_writing_threads(tmp_path: Path, place: str) -> None:
    database = nearrow.connect(":memory:" if place == "memory" else tmp_path / "library")
    docs = database.create_collection("docs", DIMENSION, metric="l2", memtable_rows=128, graph_rows_min=128)
    vectors = np.random.default_rng(1).standard_normal((STABLE, DIMENSION)).astype(np.float32)
    docs.add(ids=[f"stable-{n}" for n in range(STABLE)], vectors=vectors)
    end = time.monotonic() + SECONDS
    searches, writes = [0] * 8, [0] * 2

    def search(number: int) -> None:
        random = np.random.default_rng(number)
        while time.monotonic() < end:
            wanted = int(random.integers(STABLE))
            hits = docs.search(vectors[wanted], k=5, exact=number % 2 == 0)
            assert len(hits) == 5
            assert hits.distances.tolist() == sorted(hits.distances.tolist())
            if number % 2 == 0:
                assert f"stable-{wanted}" in hits.ids.tolist()
            assert docs.get([f"stable-{wanted}"]).num_rows == 1
            searches[number] += 1

    def write(number: int) -> None:
        random = np.random.default_rng(100 + number)
        while time.monotonic() < end:
            turn = writes[number]
            names = [f"writer-{number}-{(turn * 5 + place) % 200}" for place in range(5)]
            docs.upsert(ids=names, vectors=random.standard_normal((5, DIMENSION)).astype(np.float32))
            assert docs.get(names).num_rows == 5, "a write is visible to the next call"
            docs.delete(names[:2])
            assert docs.get(names).num_rows == 3
            writes[number] += 1

    run_threads([*(lambda n=n: search(n) for n in range(8)), *(lambda n=n: write(n) for n in range(2))])
    docs.wait()
    assert min(searches) > 0
    assert min(writes) > 0
    check_counts(docs, writes)
    database.close()


def check_counts(docs: Collection, writes: list[int]) -> None:
    """What the writers left, worked out again."""
    expected = {f"stable-{n}" for n in range(STABLE)}
    for number, turns in enumerate(writes):
        for turn in range(turns):
            names = [f"writer-{number}-{(turn * 5 + place) % 200}" for place in range(5)]
            expected |= set(names)
            expected -= set(names[:2])
    assert set(docs.to_arrow().column("id").to_pylist()) == expected


def test_many_threads_writing_durably_lose_nothing(tmp_path: Path) -> None:
    with nearrow.connect(tmp_path / "library") as database:
        docs = database.create_collection("docs", 4, metric="l2", memtable_rows=64)

        def write(number: int) -> None:
            for turn in range(25):
                docs.upsert([{"id": f"{number}-{turn}", "vector": [1.0, 2.0, 3.0, float(turn)]}])

        run_threads([lambda n=n: write(n) for n in range(8)])
        assert docs.count() == 200
    with nearrow.connect(tmp_path / "library") as database:
        assert database.collection("docs").count() == 200
