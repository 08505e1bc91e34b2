"""Effort: how hard may a build or merge work, so that those who search and write do not notice?

A merge of a collection that is being searched uses half of the processors. A first graph, without which every search is a
scan, is urgent: it may have them all, unless rows are being written one batch after another. Graphs are built in a thread
of low priority; only the kernel's work runs so, without Python's lock: a thread that holds the lock and is not given a
processor would stop all others.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

Result = TypeVar("Result")
Progress = Callable[[int, int], None]

NICE = 10


def directly(work: Callable[[], Result]) -> Result:
    """The result of `work`, done here and now."""
    return work()


@dataclass(frozen=True)
class Effort:
    """What one build or merge may use, and whom it asks and tells.

    `run`: does the kernel's part, `directly` or `gently`. `cancelled` is asked, `progress` told (done, to do), now and then.
    """

    threads: int
    run: Callable[[Callable[[], Any]], Any]
    cancelled: Callable[[], bool]
    progress: Progress


def cpu_threads() -> int:
    """How many threads a build may use."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not on macOS and Windows
        return max(1, os.cpu_count() or 1)


def quiet_threads() -> int:
    """How many of them one that must not be noticed may use."""
    return max(1, cpu_threads() // 2)


def gently(work: Callable[[], Result]) -> Result:
    """The result of `work`, done by a thread of low priority, as are the threads that it starts (on Linux)."""
    if sys.platform != "linux":
        return work()
    results: list[Result] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)  # of this thread alone, on Linux
            results.append(work())
        except BaseException as failure:  # raised again by the one who waits
            failures.append(failure)

    thread = threading.Thread(target=run, name="nearrow-graph", daemon=True)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]
