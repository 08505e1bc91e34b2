"""Cases: what becomes of a database when single things go wrong that no random campaign would meet?

A full disk, a read-only mount, files that are missing or cut short, a clock that jumps, a lock that a dead writer left, a
second writer. Run as a module, these are the cases in this mount namespace: `crash cases` starts it in one of its own.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import nearrow
from nearrow.errors import LockedError, NearrowError, StorageError
from nearrow.testing.children import Child, Report, killed_at_the_end, run_child
from nearrow.testing.crash_flips import answers, make_small_database, outcome
from nearrow.testing.crash_kill import LENGTH, writing
from nearrow.testing.crash_look import NAME, look, make_database, warm_up
from nearrow.testing.crash_script import Witness, script
from nearrow.testing.disk_calls import DiskCalls
from nearrow.testing.model import Operation, run
from nearrow.testing.small_disk import available, in_own_namespace, small_disk

FREE_BYTES = 2 << 20
TURNS_MAX = 400
CLOCK_STEP_SECONDS = 10 * 365 * 86_400

Figures = dict[str, object]


def full_disk(root: Path, seed: int) -> str:
    """Writes until an ext4 is full: what was acknowledged is there, and with some space again it goes on."""
    with small_disk(16) as disk:
        path, ballast = disk.root / "database", disk.root / "ballast"
        make_database(path, "full")

        operations = [_big_rows(turn) for turn in range(TURNS_MAX)]

        def task(report: Report) -> None:
            with open(ballast, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk.root).free - FREE_BYTES)
            collection = nearrow.connect(path).collection(NAME)
            refused = 0
            for operation in operations:
                try:
                    run(collection, operation)
                    report("refused, then acknowledged" if refused else "acknowledged")
                except StorageError:
                    refused += 1
                    if refused == 2:
                        report("refused twice")
                        return

        reports = run_child(task).expect().reports
        acknowledged = reports.count("acknowledged")
        assert reports == ["acknowledged"] * acknowledged + ["refused twice"], reports[-3:]
        ballast.unlink()
        witness = Witness()
        witness.expect(operations, acknowledged)
        look(path, witness)
        after = writing(path, f"{seed} after").end().expect()
        witness.expect(script(f"{seed} after", LENGTH), len(after.reports))
        look(path, witness)
    return f"{acknowledged} writes acknowledged before it was full, all there; with space again it goes on"


def _big_rows(turn: int) -> Operation:
    rows = [{"id": f"big-{turn}-{place}", "vector": [1.0, float(turn), float(place), 0.0]} for place in range(10)]
    return ("upsert", [{**row, "text": f"{turn} " * 1000} for row in rows])


def read_only_mount(root: Path, seed: int) -> str:
    """A reader reads from a read-only mount; a writer is told; nothing changes."""
    with small_disk(16) as disk:
        path = disk.root / "database"
        run_child(lambda report: make_small_database(path)).expect()
        disk.remount_read_only()

        def task(report: Report) -> None:
            assert answers(path, read_only=True)
            try:
                nearrow.connect(path).collection(NAME)
            except NearrowError as error:
                report(type(error).__name__)

        (refused,) = run_child(task).expect().reports
    return f"a reader reads, a writer gets {refused}"


def missing_files(root: Path, seed: int) -> str:
    """Each file in turn is deleted, and cut to half its length: an error, or the right rows."""
    whole, copy = root / "whole", root / "copy"
    run_child(lambda report: make_small_database(whole)).expect()
    expected = run_child(lambda report: report(repr(answers(whole, read_only=True)))).expect().reports[0]
    found: Counter[str] = Counter()
    for name in sorted(str(file.relative_to(whole)) for file in whole.rglob("*") if file.is_file()):
        for damage in ("deleted", "halved"):
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(whole, copy)
            if damage == "deleted":
                (copy / name).unlink()
            else:
                os.truncate(copy / name, (copy / name).stat().st_size // 2)
            (told,) = run_child(lambda report: report(outcome(copy, expected))).expect().reports
            kind = told.partition(":")[0]
            assert kind in ("error", "harmless"), f"{name} {damage}: {told}"
            found[f"{damage}, {kind}"] += 1
    return ", ".join(f"{count} × {kind}" for kind, count in sorted(found.items()))


def clock_steps(root: Path, seed: int) -> str:
    """The clock of the day jumps by years, forth and back, between all operations, with kills in between."""
    path, witness, random = root / "database", Witness(), Random(seed)
    make_database(path, "full")
    lives = 20
    for life in range(lives):
        operations = script(f"{seed} clock {life}", LENGTH)

        def task(report: Report, operations: list[Operation] = operations) -> None:
            steps, now = Random(f"{seed} {os.getpid()}"), time.time_ns
            step = 0

            def stepped() -> int:
                nonlocal step
                step += int(steps.uniform(-1, 1) * CLOCK_STEP_SECONDS * 1e9)
                return max(0, now() + step)

            time.time_ns = stepped
            time.time = lambda: stepped() / 1e9
            with nearrow.connect(path) as database:
                for operation in operations:
                    run(database.collection(NAME), operation)
                    report(operation[0])

        with killed_at_the_end(Child(task)) as child:
            for _ in range(random.randint(0, LENGTH)):
                child.report()
            child.kill()
            ending = child.end().expect(killed=True)
        witness.expect(operations, len(ending.reports))
        look(path, witness)
    return f"{lives} lives with a clock that jumps by up to 10 years at each look at it: nothing lost"


def locks(root: Path, seed: int) -> str:
    """A killed writer's lock is free at once, whatever lies in its file; a living writer's is not."""
    path, witness = root / "database", Witness()
    make_database(path, "full")
    with killed_at_the_end(writing(path, f"{seed} lock")) as child:
        child.report()

        def second(report: Report) -> None:
            began = time.monotonic()
            try:
                nearrow.connect(path).collection(NAME)
            except LockedError:
                report(f"{time.monotonic() - began:.3f}")

        os.kill(child.pid, signal.SIGSTOP)  # it stops in the middle, holding its lock
        refused = run_child(second).expect().reports
        child.kill()
        ending = child.end().expect(killed=True)
    assert refused, "a second writer was let in"
    for lock in path.rglob("LOCK"):
        lock.write_bytes(b"12345 some other host")
    witness.expect(script(f"{seed} lock", LENGTH), len(ending.reports))
    look(path, witness)
    return "a second writer is refused while the first lives (stopped), and let in when it is dead"


def catalogue(root: Path, seed: int) -> str:
    """Killed at every call of making and dropping collections: each is there whole, or not at all."""
    steps = ("make one", "write one", "make two", "write two", "drop one", "make one again")
    number = 0
    while True:
        number += 1
        path = root / str(number)

        def task(report: Report, path: Path = path, strike_at: int = number) -> None:
            with DiskCalls(strike_at).installed(), nearrow.connect(path) as database:
                for step in steps:
                    verb, name = step.split()[:2]
                    if verb == "make":
                        database.create_collection(name, 2, metric="l2")
                    elif verb == "write":
                        database.collection(name).upsert([{"id": step, "vector": [1.0, 2.0]}])
                    else:
                        database.drop_collection(name)
                    report(step)

        ending = run_child(task).expect(killed=True)
        done = len(ending.reports)
        allowed = [_catalogue_after(steps[:done]), _catalogue_after(steps[: done + 1])]

        def find(report: Report, path: Path = path) -> None:
            with nearrow.connect(path) as database:
                found = {name: database.collection(name).count() for name in database.collections()}
                report(json.dumps(found))
                for name in ("one", "two"):
                    database.get_or_create_collection(name, 2, metric="l2").upsert([{"id": "x", "vector": [1.0, 2.0]}])

        found = json.loads(run_child(find).expect().reports[0])
        assert found in allowed, f"killed at call {number}, after {ending.reports}: {found}, not one of {allowed}"
        if not ending.killed:
            return f"{number - 1} kills while collections were made and dropped: each there whole, or not at all"


def _catalogue_after(steps: tuple[str, ...]) -> dict[str, int]:
    found: dict[str, int] = {}
    for step in steps:
        verb, name = step.split()[:2]
        if verb == "drop":
            del found[name]
        else:
            found[name] = int(verb == "write")
    return found


CASES: dict[str, Callable[[Path, int], str]] = {
    "full disk": full_disk,
    "read-only mount": read_only_mount,
    "missing and halved files": missing_files,
    "clock steps": clock_steps,
    "catalogue": catalogue,
    "locks": locks,
}
NEED_DISK = ("full disk", "read-only mount")


def run_cases(seed: int) -> Figures:
    """Every case that is possible here; AssertionError if one ends otherwise than it should."""
    if not available():
        found: Figures = dict.fromkeys(NEED_DISK, "not possible here: needs root and loop devices")
        return {**found, **{name: run_case(name, seed) for name in CASES if name not in NEED_DISK}}
    done = in_own_namespace(__name__, "--seed", str(seed))
    if done.returncode:
        raise AssertionError(done.stderr.strip())
    figures: Figures = json.loads(done.stdout)
    return figures


def run_case(name: str, seed: int) -> str:
    with tempfile.TemporaryDirectory(prefix="nearrow-case-") as folder:
        warm_up()
        return CASES[name](Path(folder), seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    print(json.dumps({name: run_case(name, options.seed) for name in CASES}))


if __name__ == "__main__":
    main()
