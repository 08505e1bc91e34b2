"""Crashes: what is lost after kill -9, and after a power cut?"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

from benchmarks.faults.batches import Promise
from benchmarks.faults.looking import Open, judge, look, write_for_ever
from nearrow.testing.children import Child, killed_at_the_end
from nearrow.testing.small_disk import SmallDisk, small_disk

BATCHES_MAX = 25
DELAY_SECONDS_MAX = 0.02
CYCLES_PER_DATABASE = 10
DISK_MEGABYTES = 256

Figures = dict[str, object]


def kill(open_store: Open, cycles: int, seed: int) -> Figures:
    """kill -9 at random moments while batches are written."""
    with tempfile.TemporaryDirectory(prefix="faults-kill-") as folder:
        return _cycles(open_store, Path(folder), None, cycles, seed, flush=False)


def power(open_store: Open, cycles: int, seed: int) -> Figures:
    """Power cuts of an ext4 at random moments while batches are written."""
    with small_disk(DISK_MEGABYTES) as disk:
        return _cycles(open_store, disk.root, disk, cycles, seed, flush=False)


def power_flushed(open_store: Open, cycles: int, seed: int) -> Figures:
    """The same with the engine's flush() after every batch."""
    with small_disk(DISK_MEGABYTES) as disk:
        return _cycles(open_store, disk.root, disk, cycles, seed, flush=True)


def _cycles(open_store: Open, root: Path, disk: SmallDisk | None, cycles: int, seed: int, *, flush: bool) -> Figures:
    random = Random(seed)
    acknowledged, bad, problems, examples = 0, 0, Counter[str](), set[str]()
    promise, path, number, databases = Promise(), root / "0", 1, 0
    for cycle in range(cycles):
        if cycle % CYCLES_PER_DATABASE == 0:
            shutil.rmtree(path, ignore_errors=True)
            databases += 1
            promise, path, number = Promise(), root / str(databases), 1
        first = number
        child = Child(lambda report: write_for_ever(open_store, path, first, report, flush=flush))  # noqa: B023
        with killed_at_the_end(child):
            for _ in range(random.randint(1, BATCHES_MAX)):
                if child.report() is None:
                    break
            time.sleep(random.random() * DELAY_SECONDS_MAX)
            if disk is not None:
                disk.cut()
            child.kill()
            ending = child.end()
        if disk is not None:
            disk.power_on()
        for told in ending.reports:
            promise.acknowledge(int(told))
        number += len(ending.reports)
        acknowledged += len(ending.reports)
        seen = look(open_store, path)
        wrong = judge(seen, promise, [number])
        problems += wrong
        bad += bool(wrong)
        if seen.problem:
            examples.add(seen.problem)
        if seen.problem or (ending.error and disk is None):
            examples.add((ending.error.strip().splitlines() or [seen.problem])[-1][:160])
            shutil.rmtree(path, ignore_errors=True)
            databases += 1
            promise, path, number = Promise(), root / str(databases), 1
        else:
            promise.settle(seen.found)
            number += 1  # the one that was under way may be there
    return {
        "cycles": cycles,
        "acknowledged batches": acknowledged,
        "cycles with a problem": bad,
        **dict(problems),
        "examples": sorted(examples)[:3],
    }
