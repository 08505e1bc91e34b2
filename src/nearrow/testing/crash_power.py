"""Power: is every acknowledged row there after the power went, on a real file system?

A child writes to an ext4 on a loop device and reports each acknowledged write; at a random moment the file system is shut
down without its journal being flushed, and the child is killed. Mounted again, it must hold what was promised: everything
acknowledged for durability "full", a state since the last flush for the others. Some recoveries are cut, too.

Run as a module, it is the campaign in this mount namespace: `crash cuts` starts it in one of its own.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from nearrow.testing.children import Child, killed_at_the_end
from nearrow.testing.crash_kill import LENGTH, writing
from nearrow.testing.crash_look import look, make_database, reading, warm_up
from nearrow.testing.crash_script import Witness, script
from nearrow.testing.small_disk import SmallDisk, in_own_namespace, small_disk

CYCLES_PER_DISK = 25
DURABILITIES = ("full", "full", "batched", "off")
DELAY_SECONDS_MAX = 0.006
RECOVERY_CUT_SHARE = 0.25
RECOVERY_SECONDS_MAX = 0.04
BROKEN = ("", "fdatasync")
"""A build in which this call does nothing: the campaign must catch it. (ext4 syncs folders with their files.)"""
REFUSED = ("nearrow.errors.StorageError", "OSError")  # what a child may say when the file system is gone


@dataclass
class PowerTally:
    """What a campaign did."""

    cuts: int = 0
    cut_while_writing: int = 0
    cut_in_recovery: int = 0
    acknowledged_writes: int = 0
    unsynced_writes_gone: int = 0  # of durability "batched" and "off": this shows that cuts lose what is not synced


def cut_power(cycles: int, seed: int, *, broken: str = "") -> PowerTally:
    """`cycles` power cuts, in a mount namespace of its own; AssertionError if anything promised is lost or half there."""
    arguments = ("--cycles", str(cycles), "--seed", str(seed), "--broken", broken)
    done = in_own_namespace(__name__, *arguments)
    if done.returncode:
        raise AssertionError(done.stderr.strip())
    return PowerTally(**json.loads(done.stdout))


def _cycles(cycles: int, seed: int) -> PowerTally:
    tally = PowerTally()
    warm_up()
    with small_disk() as disk:
        path = disk.root / "database"
        for first in range(0, cycles, CYCLES_PER_DISK):
            disk.unmount()
            disk.format()
            disk.mount()
            durability = DURABILITIES[first // CYCLES_PER_DISK % len(DURABILITIES)]
            make_database(path, durability)
            witness = Witness()
            for cycle in range(first, min(first + CYCLES_PER_DISK, cycles)):
                try:
                    _cycle(disk, path, f"{seed}-{cycle}", witness, durability == "full", tally)
                except AssertionError as error:
                    raise AssertionError(f"seed {seed}, cycle {cycle}, durability {durability}: {error}") from error
    return tally


def _cycle(disk: SmallDisk, path: Path, seed: str, witness: Witness, durable: bool, tally: PowerTally) -> None:
    random = Random(seed)
    child = writing(path, seed)
    with killed_at_the_end(child):
        for _ in range(random.randint(0, LENGTH - 1)):
            child.report()
        acknowledged, in_time = _cut(disk, child, random.random() * DELAY_SECONDS_MAX)
    tally.cuts += 1
    tally.cut_while_writing += in_time
    tally.acknowledged_writes += acknowledged
    # A child that ended before the cut has closed its database: then all is promised.
    witness.expect(script(seed, LENGTH), acknowledged, durable=durable or not in_time)
    if random.random() < RECOVERY_CUT_SHARE:
        with killed_at_the_end(reading(path, witness)) as recovering:
            _cut(disk, recovering, random.random() * RECOVERY_SECONDS_MAX)
        tally.cut_in_recovery += 1
    newest = witness.possible[-2:]  # all that was acknowledged, without or with the write under way
    look(path, witness)
    tally.unsynced_writes_gone += witness.model not in newest


def _cut(disk: SmallDisk, child: Child, seconds: float) -> tuple[int, bool]:
    """Cut the power, end the child; how many operations had returned, and whether it was still at work."""
    time.sleep(seconds)
    disk.cut()
    child.kill()
    ending = child.end()
    # Between the cut and the kill, calls fail and mapped pages are gone.
    assert ending.signal in (0, signal.SIGKILL, signal.SIGBUS), f"the child died of signal {ending.signal}"
    assert not ending.error or ending.error.splitlines()[-1].startswith(REFUSED), ending.error
    disk.power_on()
    return len(ending.reports), ending.signal != 0 or bool(ending.error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--broken", choices=BROKEN, default="")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if options.broken:
        setattr(os, options.broken, lambda descriptor: None)
    try:
        print(json.dumps(asdict(_cycles(options.cycles, options.seed))))
    except AssertionError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
