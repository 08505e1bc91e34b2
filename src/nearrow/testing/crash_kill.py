"""Kill: is every acknowledged row there after kill -9 of the writing process at a random moment?

A child process writes and reports each acknowledged write; the parent kills it, opens what is left and compares: all
acknowledged writes must be there, and of the one under way all or nothing. Then the next child goes on.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

import nearrow
from nearrow.testing.children import Child, Report, killed_at_the_end
from nearrow.testing.crash_look import NAME, look, make_database, warm_up
from nearrow.testing.crash_script import Witness, script
from nearrow.testing.model import run

LENGTH = 16
CYCLES_PER_DATABASE = 25
DURABILITIES = ("full", "full", "batched", "off")  # a killed process loses nothing at any of them
DELAY_SECONDS_MAX = 0.006


@dataclass
class KillTally:
    """What a campaign did."""

    cycles: int = 0
    killed_while_writing: int = 0
    acknowledged_writes: int = 0
    under_way_whole: int = 0
    under_way_absent: int = 0


def kill_cycles(cycles: int, seed: int, folder: Path | None = None) -> KillTally:
    """Kill `cycles` children, one after another; AssertionError, naming the cycle, if anything is lost or half there."""
    root = Path(tempfile.mkdtemp(prefix="nearrow-kill-", dir=folder))
    tally = KillTally()
    warm_up()
    try:
        for first in range(0, cycles, CYCLES_PER_DATABASE):
            path = root / str(first)
            make_database(path, DURABILITIES[first // CYCLES_PER_DATABASE % len(DURABILITIES)])
            witness = Witness()
            for cycle in range(first, min(first + CYCLES_PER_DATABASE, cycles)):
                try:
                    _cycle(path, f"{seed}-{cycle}", witness, tally)
                except AssertionError as error:
                    raise AssertionError(
                        f"seed {seed}, cycle {cycle}: {error}; the database is kept in {path}"
                    ) from error
            shutil.rmtree(path)
    finally:
        if not any(root.iterdir()):
            root.rmdir()
    return tally


def writing(path: Path, seed: str) -> Child:
    """A child that runs the script of `seed` and reports each operation when it has returned."""

    def task(report: Report) -> None:
        with nearrow.connect(path) as database:
            collection = database.collection(NAME)
            for operation in script(seed, LENGTH):
                run(collection, operation)
                report(operation[0])

    return Child(task)


def _cycle(path: Path, seed: str, witness: Witness, tally: KillTally) -> None:
    random = Random(seed)
    with killed_at_the_end(writing(path, seed)) as child:
        for _ in range(random.randint(0, LENGTH - 1)):
            child.report()
        time.sleep(random.random() * DELAY_SECONDS_MAX)
        child.kill()
        ending = child.end().expect(killed=True)
    acknowledged = len(ending.reports)
    witness.expect(script(seed, LENGTH), acknowledged)
    before = witness.model
    look(path, witness)
    tally.cycles += 1
    tally.killed_while_writing += ending.killed
    tally.acknowledged_writes += acknowledged
    tally.under_way_absent += witness.model == before
    tally.under_way_whole += witness.model != before
