"""Chaos: many clients write and search, the server is killed in the middle; is every acknowledged write there?

    python -m benchmarks.server.chaos [--minutes 5] [--clients 64]

Each client writes small batches of rows of its own (add, upsert, update, delete), one after the other, and remembers what
was acknowledged. Half-way, the server's process is killed as kill -9 does and started again a second later on the same
port. At the end each client reads its rows back: none may be missing, none may be there that was deleted, and of each
batch all rows have the same version. Clients are threads of a few processes, each with a connection of its own.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import nearrow
from benchmarks.server.processes import start_server, stopping

NAME = "rows"
DIMENSION = 16
BATCH_ROWS = 5
PROCESSES = 4
DEADLINE_SECONDS = 60.0
WRITES_AFTER_MIN = 2
"""A client has not recovered before it has written so many batches after the kill."""


@dataclass
class Outcome:
    """What clients saw."""

    acknowledged: int = 0
    searches: int = 0
    after_kill: int = 0
    rows: int = 0
    lost: int = 0
    too_many: int = 0
    torn: int = 0
    longest_pause: float = 0.0
    errors: list[str] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        for name in ("acknowledged", "searches", "after_kill", "rows", "lost", "too_many", "torn"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.longest_pause = max(self.longest_pause, other.longest_pause)
        self.errors += other.errors


def client(db: nearrow.Database, number: int, seconds: float, kill_at: float) -> Outcome:
    """One client's life. `kill_at`: seconds from now."""
    outcome, chance = Outcome(), random.Random(number)
    expected: dict[str, int] = {}  # id → the version that was acknowledged
    began = time.monotonic()
    with db:
        rows = db.collection(NAME)
        batch = 0
        try:
            while time.monotonic() - began < seconds or outcome.after_kill < WRITES_AFTER_MIN:
                started = time.monotonic()
                if chance.random() < 0.3:
                    rows.search(np.ones(DIMENSION, np.float32), k=3, columns=[])
                    outcome.searches += 1
                else:
                    batch += 1
                    write(rows, expected, chance, number, batch)
                    outcome.acknowledged += 1
                    outcome.after_kill += started - began > kill_at
                outcome.longest_pause = max(outcome.longest_pause, time.monotonic() - started)
        except nearrow.NearrowError as error:
            outcome.errors.append(f"client {number}: {type(error).__name__}: {error}")
        verify(rows, expected, number, outcome)
    return outcome


def write(rows: nearrow.Collection, expected: dict[str, int], chance: random.Random, number: int, version: int) -> None:
    """One batch; `expected` changes when it is acknowledged."""
    kind = chance.choice(["add", "upsert", "update", "delete"]) if expected else "add"
    if kind == "add":
        names = [f"{number}-{version}-{row}" for row in range(BATCH_ROWS)]
    else:
        some = chance.choice(sorted(expected)).rsplit("-", 1)[0]
        names = [name for name in (f"{some}-{row}" for row in range(BATCH_ROWS)) if name in expected]
    if kind == "delete":
        rows.delete(names)
        for name in names:
            del expected[name]
        return
    metadata = [{"client": number, "version": version}] * len(names)
    if kind == "update":
        rows.update([{"id": name, **about} for name, about in zip(names, metadata, strict=True)])
    else:
        vectors = np.random.default_rng(version).standard_normal((len(names), DIMENSION)).astype(np.float32)
        getattr(rows, kind)(ids=names, vectors=vectors, metadata=metadata)
    expected.update(dict.fromkeys(names, version))


def verify(rows: nearrow.Collection, expected: dict[str, int], number: int, outcome: Outcome) -> None:
    """Compare what is there with what was acknowledged."""
    table = rows.scan({"client": number}, columns=["id", "version"]).read_all()
    found = dict(zip(table["id"].to_pylist(), table["version"].to_pylist(), strict=True))
    outcome.rows += len(found)
    if outcome.errors:  # its last write was never acknowledged: it may be there or not
        return
    outcome.lost += sum(1 for name, version in expected.items() if found.get(name, -1) < version)
    outcome.too_many += sum(1 for name in found if name not in expected)
    batches: dict[str, set[int]] = {}
    for name, version in found.items():
        batches.setdefault(name.rsplit("-", 1)[0], set()).add(version)
    outcome.torn += sum(1 for versions in batches.values() if len(versions) > 1)


def clients(location: str, first: int, count: int, seconds: float, kill_at: float) -> Outcome:
    """Several clients, each in a thread; they are connected, and say so, before they are told to begin."""
    connected = [nearrow.connect(location, deadline_seconds=DEADLINE_SECONDS) for _ in range(count)]
    for db in connected:
        db.collection(NAME)
    print("ready", flush=True)
    sys.stdin.readline()
    total = Outcome()
    with ThreadPoolExecutor(count) as pool:
        lives = [pool.submit(client, db, first + index, seconds, kill_at) for index, db in enumerate(connected)]
        for life in lives:
            total.add(life.result())
    return total


def run(seconds: float, count: int, processes: int = PROCESSES) -> Outcome:
    """The whole story; the outcome of all clients together."""
    with tempfile.TemporaryDirectory() as folder:
        library, port = Path(folder) / "library", free_port()
        server = start_server(library, port=port)
        try:
            with nearrow.connect(server.location) as db:
                db.create_collection(NAME, dimension=DIMENSION, metric="l2")
            shares = [count // processes + (index < count % processes) for index in range(processes)]
            firsts = [sum(shares[:index]) for index in range(processes)]
            running = [
                start_clients(server.location, first, share, seconds)
                for first, share in zip(firsts, shares, strict=True)
                if share
            ]
            for process in running:
                tell(process, "begin")
            time.sleep(seconds / 2)
            server.kill()
            time.sleep(1)
        except BaseException:
            server.kill()
            raise
        with stopping(start_server(library, port=port)):
            total = Outcome()
            for process in running:
                told, _ = process.communicate()
                total.add(Outcome(**json.loads(told)))
        with nearrow.connect(library, read_only=True) as db:
            if not db.collection(NAME).check().ok:
                total.errors.append("check() found damage")
        if total.after_kill == 0:
            total.errors.append("no client wrote anything after the server was killed")
    return total


def start_clients(location: str, first: int, count: int, seconds: float) -> subprocess.Popen[str]:
    arguments = [location, first, count, seconds, seconds / 2]
    command = [sys.executable, "-m", "benchmarks.server.chaos", "--as-clients", *map(str, arguments)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        raise RuntimeError(f"the clients ended with code {process.wait()} before they began")
    return process


def tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--as-clients", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.as_clients:
        location, first, count, seconds, kill_at = arguments.as_clients
        outcome = clients(location, int(first), int(count), float(seconds), float(kill_at))
        print(json.dumps(asdict(outcome)))
        return
    told: dict[str, Any] = asdict(run(60 * arguments.minutes, arguments.clients))
    print(json.dumps({"clients": arguments.clients, "minutes": arguments.minutes, **told}, indent=1))
    if told["lost"] or told["too_many"] or told["torn"] or told["errors"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
