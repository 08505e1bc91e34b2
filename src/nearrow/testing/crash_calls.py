"""Calls: is every acknowledged row there if any one call that changes the disk kills the writer, fails or falls short?

The script of a seed runs on a real file system with background work inline, so that it makes the same calls each time.
Each of them is struck with each fault that it can have. Where the writer was killed, each call of the recovery that
follows is killed as well, on a copy of what was left.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nearrow.errors import StorageError
from nearrow.storage.local import LocalDirectory
from nearrow.testing.children import Ending, Report, run_child
from nearrow.testing.crash_enumeration import assert_poisoned_or_whole
from nearrow.testing.crash_look import look, make_database, warm_up
from nearrow.testing.crash_script import Witness, script
from nearrow.testing.disk_calls import DEADLY, FAULTS, DiskCalls, applies
from nearrow.testing.inline_background import open_inline
from nearrow.testing.model import Operation, run

LENGTH = 14
ACKNOWLEDGED, STRUCK = "acknowledged", "struck"


@dataclass
class CallTally:
    """What a campaign did: points by fault, and by kind of call."""

    calls: int = 0
    points: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    nested_kills: int = 0
    acknowledged_writes: int = 0


def strike_calls(
    seed: int,
    *,
    faults: Sequence[str] = FAULTS,
    first: int = 0,
    step: int = 1,
    nested_step: int = 1,
    folder: Path | None = None,
) -> CallTally:
    """Strike every `step`-th call from `first` on, and kill every `nested_step`-th call of each recovery after a kill.

    AssertionError, naming the call, if anything acknowledged is lost, or anything is half there.
    """
    root = Path(tempfile.mkdtemp(prefix="nearrow-calls-", dir=folder))
    warm_up()
    tally = CallTally()
    make_database(root / "empty", "full")
    operations = script(seed, LENGTH)
    kinds = calls_of(root, operations)
    tally.calls = len(kinds)
    for number in range(1 + first, len(kinds) + 1, step):
        kind = kinds[number - 1]
        for fault in faults:
            if not applies(fault, kind):
                continue
            try:
                _strike(root, operations, number, fault, tally, nested_step)
            except AssertionError as error:
                raise AssertionError(
                    f"seed {seed}, call {number} ({kind}), {fault}: {error}; the database is kept in {root}"
                ) from error
            tally.points[fault] += 1
            tally.kinds[kind] += 1
    shutil.rmtree(root)
    return tally


def calls_of(root: Path, operations: Sequence[Operation]) -> list[str]:
    """The kinds of the calls that the script makes when nothing fails."""
    path = _fresh(root / "empty", root / "counted")
    ending = run_child(lambda report: _live(path, operations, DiskCalls(), report)).expect()
    return ending.reports[-1].split()


def _strike(
    root: Path, operations: Sequence[Operation], number: int, fault: str, tally: CallTally, nested_step: int
) -> None:
    path = _fresh(root / "empty", root / "struck")
    ending = run_child(lambda report: _live(path, operations, DiskCalls(number, fault), report))
    acknowledged = _acknowledged(ending, fault)
    assert ending.killed == (fault in DEADLY), "the fault did not fire"
    witness = Witness()
    witness.expect(operations, acknowledged)
    tally.acknowledged_writes += acknowledged
    if ending.killed:
        tally.nested_kills += _strike_recoveries(root, path, witness, nested_step, first=1 + number % nested_step)
    elif acknowledged == len(operations):
        assert len(witness.possible) == 1
    look(path, witness)


def _strike_recoveries(root: Path, path: Path, witness: Witness, step: int, first: int) -> int:
    """Kill the writer that comes next at each of its calls; how many there were."""
    number = first
    operation = script(f"nested {number}", 1)
    while True:
        copy = _fresh(path, root / "nested")
        strike_at = number
        ending = run_child(lambda report: _live(copy, operation, DiskCalls(strike_at), report, witness))  # noqa: B023
        acknowledged = _acknowledged(ending, "kill")
        later = Witness()
        after = [model.after(operation[0])[0] for model in witness.possible]
        later.possible = after if acknowledged else [*witness.possible, *after]
        look(copy, later)
        if not ending.killed:
            return (number - first) // step
        number += step


def run_script(path: Path, operations: Sequence[Operation]) -> None:
    """What a child does to the database at `path` when it is not struck."""
    _live(path, operations, DiskCalls(), lambda text: None)


def _live(
    path: Path, operations: Sequence[Operation], calls: DiskCalls, report: Report, witness: Witness | None = None
) -> None:
    """The child: opens, runs the operations, closes; stops at the first error, as if it died of it."""
    with calls.installed():
        try:
            database = LocalDirectory(path)
            collection = open_inline(database.folder(f"collections/{database.list('collections')[0]}"))
            if witness is not None:
                witness.check(collection)
            try:
                for operation in operations:
                    run(collection, operation)
                    report(ACKNOWLEDGED)
                collection.close()
            except StorageError:
                assert_poisoned_or_whole(collection, calls)
        except StorageError:
            assert calls.fired
    report(STRUCK if calls.fired else " ".join(calls.kinds))


def _acknowledged(ending: Ending, fault: str) -> int:
    """How many operations had returned; AssertionError if the fault did not happen, or another one did."""
    ending.expect(killed=fault in DEADLY)
    if fault not in DEADLY:
        assert ending.reports[-1] == STRUCK, "the fault did not fire"
    return ending.reports.count(ACKNOWLEDGED)


def _fresh(source: Path, target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    return target
