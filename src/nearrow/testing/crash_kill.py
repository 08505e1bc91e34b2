"""Kill: is every acknowledged row there after kill -9 of the writing process at a random moment?

A child process writes and reports each acknowledged write through a pipe; the parent kills it, opens what is left and
compares: all acknowledged writes must be there, and of the one under way all or nothing. Then the next child goes on.
"""

from __future__ import annotations

import multiprocessing
import shutil
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

import nearrow
from nearrow.testing.crash_script import Witness, script, script_config
from nearrow.testing.model import run

LENGTH = 16
CYCLES_PER_DATABASE = 25
DELAY_SECONDS_MAX = 0.006


@dataclass
class KillTally:
    """What a campaign did."""

    cycles: int = 0
    killed: int = 0
    acknowledged: int = 0
    under_way_whole: int = 0
    under_way_absent: int = 0


def write_and_report(path: str, seed: str, acknowledgements: Connection) -> None:
    """The child: runs the script of `seed` and reports each operation when it has returned."""
    with nearrow.connect(path) as database:
        collection = database.collection("crash")
        for operation in script(seed, LENGTH):
            run(collection, operation)
            acknowledgements.send_bytes(b"done")
    acknowledgements.close()


def kill_cycles(cycles: int, seed: int, folder: Path | None = None) -> KillTally:
    """Kill `cycles` children, one after another; AssertionError, naming the cycle, if anything is lost or half there."""
    root = Path(tempfile.mkdtemp(prefix="nearrow-kill-", dir=folder))
    tally = KillTally()
    try:
        for first in range(0, cycles, CYCLES_PER_DATABASE):
            path = root / str(first)
            make_database(path, durability="off" if first // CYCLES_PER_DATABASE % 4 == 3 else "full")
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


def make_database(path: Path, durability: str) -> None:
    """A database at `path` with the empty collection that the scripts write to."""
    with nearrow.connect(path) as database:
        settings = script_config(durability).to_dict()
        database.create_collection(settings.pop("name"), settings.pop("dimension"), **settings)


def _cycle(path: Path, seed: str, witness: Witness, tally: KillTally) -> None:
    random = Random(seed)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=write_and_report, args=(str(path), seed, send), daemon=True)
    child.start()
    send.close()
    target, acknowledged = random.randint(0, LENGTH - 1), 0
    while acknowledged < target and _one(receive):
        acknowledged += 1
    time.sleep(random.random() * DELAY_SECONDS_MAX)
    child.kill()
    child.join()
    while _one(receive):
        acknowledged += 1
    receive.close()
    assert child.exitcode in (0, -9), f"the child failed by itself, exit code {child.exitcode}"
    tally.cycles += 1
    tally.killed += child.exitcode == -9
    tally.acknowledged += acknowledged
    operations = script(seed, LENGTH)
    model = witness.model
    for operation in operations[:acknowledged]:
        model, _ = model.after(operation)
    under_way = operations[acknowledged : acknowledged + 1]
    witness.possible = [model, *(model.after(operation)[0] for operation in under_way)]
    with nearrow.connect(path, read_only=True) as database:  # a reader must see the same as the next writer
        witness.check(database.collection("crash"), writer=False)
    with nearrow.connect(path) as database:
        witness.check(database.collection("crash"))
    if witness.model == model:
        tally.under_way_absent += 1
    else:
        tally.under_way_whole += 1


def _one(receive: Connection) -> bool:
    try:
        receive.recv_bytes()
    except EOFError:
        return False
    return True
