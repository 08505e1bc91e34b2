"""Flips: what happens when any byte of any file of a database is another one?

A child process opens a copy in which one byte is flipped, reads everything and searches. The outcome must be a typed
error, or the right rows; never wrong rows, never a signal. With `lazy`, the files of segments count as too big to be
digested at open: then wrong values may be read, but `Segment.verify` must tell, and native code must still not crash.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nearrow
from nearrow.collection import Collection
from nearrow.errors import NearrowError
from nearrow.segment import format as segment_format
from nearrow.testing.children import Child, Report, run_child
from nearrow.testing.crash_look import warm_up
from nearrow.testing.crash_script import script_config
from nearrow.testing.model import read_rows

Flip = tuple[str, int, int]
"""File, byte, mask."""

QUERY = [0.5, 1.0, -2.0, 0.25]
HARMLESS = ("LOCK", "CATALOG", "LEASE")
CHANGED_IN_PLACE = (*HARMLESS, "WATERMARK", "GENERATION")
FLIPS_PER_CHILD = 200
SEGMENT_BYTES_PER_WRITER = 7
"""A reader opens every flipped file; a writer does so, too, and of the segments, which both read alike, every so many."""
SECONDS_MAX = 1200  # of the clock: children may be stopped for minutes
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


def flips_of(path: Path, step: int, first: int = 0, *, lazy: bool = False) -> Iterator[Flip]:
    """Every `step`-th byte of all files together (`lazy`: of segments).

    Of the zeros that a log keeps ahead of its end, only the first ones.
    """
    number = first
    for file in sorted(path.rglob("*")):
        if file.is_file() and file.name not in HARMLESS and (not lazy or "segments" in file.parts):
            size = min(file.stat().st_size, len(file.read_bytes().rstrip(b"\0")) + ZEROS)
            while number < size:
                yield str(file.relative_to(path)), number, 1 << (number % 8)
                number += step
            number -= size


def flip_bytes(step: int = 1, *, first: int = 0, lazy: bool = False, folder: Path | None = None) -> FlipTally:
    """Flip every `step`-th byte from `first` on, one at a time; the tally's `failures` must be empty."""
    root = Path(tempfile.mkdtemp(prefix="nearrow-flips-", dir=folder))
    warm_up()
    try:
        run_child(lambda report: make_small_database(root / "whole")).expect()
        expected = _answers_of_whole(root)
        tally = FlipTally()
        waiting = list(flips_of(root / "whole", step, first, lazy=lazy))
        while waiting:
            done = _run_child(root, waiting, expected, lazy, tally)
            waiting = waiting[done:]
        assert _answers_of_whole(root) == expected, "a writer changed a published file in place"
        return tally
    finally:
        shutil.rmtree(root)


def _answers_of_whole(root: Path) -> str:
    return run_child(lambda report: report(repr(answers(root / "whole", read_only=True)))).expect().reports[0]


def _run_child(root: Path, flips: list[Flip], expected: str, lazy: bool, tally: FlipTally) -> int:
    """One child works through some flips until it ends or dies; returns how many are settled."""
    child = Child(lambda report: _try_flips(root, flips[:FLIPS_PER_CHILD], expected, lazy, report))
    ending = child.end()
    outcomes = ending.reports
    if ending.signal:
        outcomes.append("hung" if ending.signal == signal.SIGALRM else f"died of signal {ending.signal}")
    assert outcomes, ending.error
    for (name, byte, mask), outcome in zip(flips, outcomes, strict=False):
        tally.flips += 1
        kind = outcome.partition(":")[0]
        by_kind = tally.outcomes.setdefault(_kind_of_file(name), {})
        by_kind[kind] = by_kind.get(kind, 0) + 1
        if kind not in ("error", "harmless", "told"):
            tally.failures.append(f"{name} byte {byte} ^ {mask:#x}: {outcome}")
    return len(outcomes)


def _kind_of_file(name: str) -> str:
    last = name.rpartition("/")[2]
    for known in ("manifest", "deletes"):
        if last.startswith(known):
            return known
    return "log" if last.endswith(".log") else last


def _try_flips(root: Path, flips: list[Flip], expected: str, lazy: bool, report: Report) -> None:
    if lazy:
        segment_format.EAGER_DIGEST_BYTES = 0
    for name, byte, mask in flips:
        signal.alarm(SECONDS_MAX)
        flipped = _flipped((root / "whole" / name).read_bytes(), byte, mask)
        # Published files are never changed in place, so all but the flipped one may be links.
        shutil.rmtree(root / "copy", ignore_errors=True)
        shutil.copytree(root / "whole", root / "copy", copy_function=_link_or_copy)
        (root / "copy" / name).unlink()
        (root / "copy" / name).write_bytes(flipped)
        writer_too = "segments/" not in name or byte % SEGMENT_BYTES_PER_WRITER == 0
        report(outcome(root / "copy", expected, lazy=lazy, writer_too=writer_too))


def _flipped(whole: bytes, byte: int, mask: int) -> bytes:
    return whole[:byte] + bytes([whole[byte] ^ mask]) + whole[byte + 1 :]


def _link_or_copy(source: str, target: str) -> None:
    if os.path.basename(source) in CHANGED_IN_PLACE:
        shutil.copy(source, target)
    else:
        os.link(source, target)


def outcome(copy: Path, expected: str, *, lazy: bool = False, writer_too: bool = True) -> str:
    """What a reader and a writer make of a damaged copy: an error, nothing at all, or one of the kinds that must not be."""
    errors = []
    for read_only in (True, False) if writer_too else (True,):
        try:
            found = repr(answers(copy, read_only=read_only))
        except NearrowError as error:
            errors.append(f"error: {error}")
            continue
        except (UnicodeDecodeError, AssertionError) as error:  # pyarrow's to_pylist, read_rows: values are damaged
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
