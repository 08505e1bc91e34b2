"""Reopening: how long does a new process take from opening a directory to its first answer?

Run as `python -m nearrow.cli.reopen LIBRARY COLLECTION QUERY.npy`; prints one line of JSON. Importing is timed by
the parent, as all that is left of the process's life.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import nearrow
from nearrow.errors import StorageError


@dataclass(frozen=True)
class Reopened:
    """What a new process measured, in ms: opening, answering after that, all else (start and imports); the answer."""

    open_ms: float
    answer_ms: float
    start_ms: float
    ids: tuple[str, ...]


def answer_once(library: str, name: str, query_file: str) -> dict[str, object]:
    """Open, search once, and say how long each took."""
    query = np.load(query_file)
    started = time.perf_counter()
    with nearrow.connect(library) as db:
        collection = db.collection(name)
        opened = time.perf_counter()
        ids = [str(value) for value in collection.search(query, k=10).ids]
        answered = time.perf_counter()
    return {"open_ms": 1e3 * (opened - started), "answer_ms": 1e3 * (answered - opened), "ids": ids}


def in_new_process(library: Path, name: str, query_file: Path) -> Reopened:
    """Run `answer_once` in a fresh interpreter."""
    command = [sys.executable, "-m", "nearrow.cli.reopen", str(library), name, str(query_file)]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wall_ms = 1e3 * (time.perf_counter() - started)
    if done.returncode != 0:
        raise StorageError(f"the new process could not reopen {library}: {done.stderr.strip()[-500:]}")
    found = json.loads(done.stdout)
    open_ms, answer_ms = float(found["open_ms"]), float(found["answer_ms"])
    return Reopened(open_ms, answer_ms, wall_ms - open_ms - answer_ms, tuple(found["ids"]))


if __name__ == "__main__":
    print(json.dumps(answer_once(*sys.argv[1:4])))
