"""Looking: what does the next process find in a database after a fault?"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.faults.batches import DIMENSION, Found, Promise, batch, found_in
from benchmarks.faults.stores import Store
from nearrow.testing.children import Child, Ending, Report

Open = Callable[[Path], Store]
SECONDS_MAX = 900  # of the clock: a busy machine, or who measures on it, may stop a child for minutes


@dataclass(frozen=True)
class Look:
    """What was found; or the problem that kept it from being found."""

    found: Found
    problem: str = ""


def look(open_store: Open, path: Path) -> Look:
    """A new process opens the database, reads every row and searches."""

    def task(report: Report) -> None:
        store = open_store(path)
        rows = store.rows()
        hits = store.nearest(np.ones(DIMENSION, np.float32), 10)
        report(
            json.dumps(
                {"found": found_in(rows), "searched": set(hits) <= set(rows) and len(hits) == min(10, len(rows))}
            )
        )
        store.close()

    return read(Child(task, seconds_max=SECONDS_MAX).end())


def read(ending: Ending) -> Look:
    """What a child that looked has said."""
    if ending.reports:
        told = json.loads(ending.reports[0])
        found = {int(group): stamps for group, stamps in told["found"].items()}
        return Look(found, "" if told["searched"] else "search misses rows or finds missing ones")
    if ending.signal:
        return Look({}, "hangs" if ending.signal == 14 else f"dies of signal {ending.signal}")
    last = ending.error.strip().splitlines()[-1]
    return Look(
        {}, "rows that nobody wrote" if last.startswith("ValueError: row ") else f"refuses to open: {last[:120]}"
    )


def judge(seen: Look, promise: Promise, unsure: Iterable[int]) -> Counter[str]:
    """What is wrong, in a few words each."""
    if seen.problem.startswith("refuses"):
        return Counter({"does not open": 1})
    problems = promise.broken(seen.found, unsure) if seen.found or not seen.problem else Counter()
    if seen.problem:
        problems[seen.problem] += 1
    return problems


def write_for_ever(open_store: Open, path: Path, first: int, report: Report, *, flush: bool) -> None:
    """Opens the database, then writes batch after batch, reporting each number when the engine has acknowledged it."""
    store = open_store(path)
    number = first
    while True:
        store.write(batch(number))
        if flush:
            store.flush()
        report(str(number))
        number += 1
