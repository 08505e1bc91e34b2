"""Flips: what happens when any byte of any file of a database is another one?

A child process opens a copy in which one byte is flipped, reads everything and searches. The outcome must be a typed
error, or the right rows; never wrong rows, never a signal. With `lazy`, files count as too big to be digested at open:
then wrong values may be read, but `Segment.verify` must tell, and native code must still not crash.
"""

from __future__ import annotations

import multiprocessing
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import nearrow
from nearrow.collection import Collection
from nearrow.errors import NearrowError
from nearrow.segment import format as segment_format
from nearrow.testing.crash_script import script_config
from nearrow.testing.model import read_rows

Flip = tuple[str, int, int]
"""File, byte, mask."""

QUERY = [0.5, 1.0, -2.0, 0.25]
HARMLESS = ("LOCK", "CATALOG", "LEASE")
SECONDS_MAX = 30
ZEROS = 128


@dataclass
class FlipTally:
    """Outcomes, by file name."""

    flips: int = 0
    outcomes: dict[str, dict[str, int]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def make_small_database(path: Path) -> None:
    """Segments with graph, dead rows and a log tail in a few dozen kilobytes."""
    settings = script_config().to_dict()
    with nearrow.connect(path) as database:
        collection = _create(database, settings)
        rows = [
            {"id": f"id-{n}", "vector": [float(n % 5), float(n % 3), n / 7, 1.0], "year": n, "note": f"note {n}"}
            for n in range(40)
        ]
        collection.upsert(rows)
        collection.compact()
        collection.upsert([{**row, "year": -1} for row in rows[5:10]])
        collection.flush()
        collection.wait()
        collection.delete(["id-1", "id-7", "id-20"])
        collection.upsert([{"id": "tail", "vector": [9.0, 9.0, 9.0, 9.0], "year": 1}])


def _create(database: nearrow.Database, settings: dict[str, Any]) -> Collection:
    return database.create_collection(settings.pop("name"), settings.pop("dimension"), **settings)


def answers(path: Path, *, read_only: bool) -> tuple[Any, ...]:
    """Everything that a user can ask: rows, some by id, exact and graph search."""
    with nearrow.connect(path, read_only=read_only) as database:
        collection = database.collection("crash")
        rows = read_rows(collection)
        some = collection.get(["id-3", "id-7", "tail", "none"], columns=["id", "year"]).to_pylist()
        found = [collection.search(QUERY, k=12, exact=exact, columns=["id"]) for exact in (True, False)]
        shown = [(hits.ids.tolist(), hits.distances.round(4).tolist()) for hits in found]
        return rows, some, shown[0], sorted(zip(*shown[1], strict=True))


def flips_of(path: Path, step: int, first: int = 0) -> Iterator[Flip]:
    """Every `step`-th byte of all files together; of the zeros that a log keeps ahead of its end, only the first ones."""
    number = first
    for file in sorted(path.rglob("*")):
        if file.is_file() and file.name not in HARMLESS:
            size = min(file.stat().st_size, len(file.read_bytes().rstrip(b"\0")) + ZEROS)
            while number < size:
                yield str(file.relative_to(path)), number, 1 << (number % 8)
                number += step
            number -= size


def flip_bytes(step: int = 1, *, seed: int = 0, lazy: bool = False) -> FlipTally:
    """Flip every `step`-th byte, one at a time; the tally's `failures` must be empty."""
    root = Path(tempfile.mkdtemp(prefix="nearrow-flips-"))
    try:
        make_small_database(root / "whole")
        expected = answers(root / "whole", read_only=True)
        tally = FlipTally()
        waiting = list(flips_of(root / "whole", step, seed % step))
        while waiting:
            done = _run_child(root, waiting, expected, lazy, tally)
            waiting = waiting[done:]
        return tally
    finally:
        shutil.rmtree(root)


def _run_child(root: Path, flips: list[Flip], expected: tuple[Any, ...], lazy: bool, tally: FlipTally) -> int:
    """One child works through the flips until it ends or dies; returns how many are settled."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=_try_flips, args=(str(root), flips, expected, lazy, send), daemon=True)
    child.start()
    send.close()
    done = 0
    while done < len(flips):
        outcome = "hung"
        try:
            if receive.poll(SECONDS_MAX):
                outcome = receive.recv()
        except EOFError:
            child.join()
            outcome = f"died with {child.exitcode}"
        name, byte, mask = flips[done]
        done += 1
        tally.flips += 1
        kind = outcome.partition(":")[0]
        by_kind = tally.outcomes.setdefault(_kind_of_file(name), {})
        by_kind[kind] = by_kind.get(kind, 0) + 1
        if kind not in ("error", "harmless", "told"):
            tally.failures.append(f"{name} byte {byte} ^ {mask:#x}: {outcome}")
        if outcome == "hung" or outcome.startswith("died"):
            break
    child.kill()
    child.join()
    receive.close()
    return done


def _kind_of_file(name: str) -> str:
    last = name.rpartition("/")[2]
    for known in ("manifest", "deletes"):
        if last.startswith(known):
            return known
    return "log" if last.endswith(".log") else last


def _try_flips(root: str, flips: list[Flip], expected: tuple[Any, ...], lazy: bool, report: Connection) -> None:
    if lazy:
        segment_format.EAGER_DIGEST_BYTES = 0
    for name, byte, mask in flips:
        copy = Path(root) / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(Path(root) / "whole", copy)
        with open(copy / name, "r+b") as file:
            file.seek(byte)
            old = file.read(1)[0]
            file.seek(byte)
            file.write(bytes([old ^ mask]))
        report.send(_outcome(copy, expected, lazy))


def _outcome(copy: Path, expected: tuple[Any, ...], lazy: bool) -> str:
    errors = []
    for read_only in (True, False):  # a reader must find it, and so must the next writer
        try:
            found = answers(copy, read_only=read_only)
        except NearrowError as error:
            errors.append(f"error: {error}")
            continue
        except UnicodeDecodeError as error:  # from pyarrow's own to_pylist, in a file that was not digested at open
            return "told: check() sees it" if lazy and _verify_tells(copy) else f"untyped {error!r}"
        except Exception as error:  # any other kind is a failure, reported as such
            return f"untyped {error!r}"
        if found != expected:
            return "told: check() sees it" if lazy and _verify_tells(copy) else "wrong rows"
    return errors[0] if errors else "harmless"


def _verify_tells(copy: Path) -> bool:
    with nearrow.connect(copy, read_only=True) as database:
        collection = database.collection("crash")
        return any(part.segment.verify() for part in collection._store.state.segments)
