"""Stages: what do they share? The plan of a run, the folders of the indexes, the processes that hold them open."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import pages
from benchmarks.data import cache_folder
from benchmarks.session import EngineError, Session

REFERENCE = "hnswlib"


@dataclass(frozen=True)
class Plan:
    """How a run goes, the same for every engine of it."""

    python: str
    results: Path
    repeats: int
    core: int
    again: bool
    budget: float | None
    timeout: float
    threads: tuple[int, ...]

    def cores(self, threads: int) -> list[int]:
        return [self.core] if threads == 1 else [(self.core + step) % threads for step in range(threads)]


def index_folder(dataset: str, engine: str) -> Path:
    return cache_folder() / "indexes" / dataset / engine


def say(*words: object) -> None:
    print(*words, file=sys.stderr, flush=True)


@contextlib.contextmanager
def opened(plan: Plan, dataset: str, engines: Sequence[str]) -> Iterator[dict[str, Session]]:
    """A process for each engine that has an index; the others are named and left out."""
    sessions: dict[str, Session] = {}
    files = [cache_folder() / "data" / dataset / "base.npy"]  # once, before anyone maps it
    for engine in engines:
        files.extend(index_folder(dataset, engine).rglob("*"))
    for path in pages.renew(files):
        say(f"{path} lies in small pages")
    try:
        for engine in engines:
            if not index_folder(dataset, engine).exists():
                say(f"{engine}: no index of {dataset}, left out")
                continue
            try:
                sessions[engine] = Session(
                    engine, dataset, index_folder(dataset, engine), plan.python, timeout=plan.timeout
                )
            except EngineError as failure:
                say(f"{engine}: {failure}, left out")
        yield sessions
    finally:
        for session in sessions.values():
            session.close()


def today() -> str:
    return time.strftime("%Y-%m-%d")
