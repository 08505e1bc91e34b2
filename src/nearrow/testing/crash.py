"""Crash: which campaign is run, with which seed, and what did it find?

    python -m nearrow.testing.crash points --seeds 4          every disk operation × {power cut, EIO, ENOSPC}
    python -m nearrow.testing.crash kill --cycles 200         kill -9 of a writing process at random moments
    python -m nearrow.testing.crash calls --seed 3            kill -9 at every system call that changes the disk (strace)
    python -m nearrow.testing.crash flips --step 1            every byte of every file of a small database

Each ends in one line of figures; anything lost, half there or wrong is an AssertionError that names the seed.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable

from nearrow.testing.crash_enumeration import Tally, enumerate_points
from nearrow.testing.crash_flips import flip_bytes
from nearrow.testing.crash_kill import kill_cycles
from nearrow.testing.crash_syscalls import available, strike_calls


def points(options: argparse.Namespace) -> str:
    tally = Tally()
    for seed in range(options.seed, options.seed + options.seeds):
        for durability in ("full", "batched", "off"):
            tally += enumerate_points(seed, durability=durability, step=options.step)
    assert tally.fired == tally.points, "a fault did not fire"
    return (
        f"{tally.points} points struck, {tally.nested} faults more in later lives, {tally.images} crash images, lost 0"
    )


def kill(options: argparse.Namespace) -> str:
    tally = kill_cycles(options.cycles, options.seed)
    return (
        f"{tally.cycles} cycles, {tally.killed} killed while writing, {tally.acknowledged} acknowledged writes, lost 0; "
        f"the write under way: {tally.under_way_whole} × whole, {tally.under_way_absent} × absent, half 0"
    )


def calls(options: argparse.Namespace) -> str:
    if not available():
        raise SystemExit("strace is missing, or may not trace here")
    tally = strike_calls(options.seed, step=options.step)
    shown = ", ".join(f"{name} {count}" for name, count in tally.points.items())
    return f"{sum(tally.points.values())} points ({shown}), {tally.acknowledged} acknowledged writes, lost 0"


def flips(options: argparse.Namespace) -> str:
    lines = []
    for lazy in (False, True):
        tally = flip_bytes(options.step, seed=options.seed, lazy=lazy)
        assert not tally.failures, "\n".join(tally.failures)
        shown = "; ".join(
            f"{file}: {', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))}"
            for file, kinds in sorted(tally.outcomes.items())
        )
        lines.append(
            f"{'digested lazily' if lazy else 'digested at open'}: {tally.flips} flips, wrong 0, signals 0 ({shown})"
        )
    return "\n".join(lines)


CAMPAIGNS: dict[str, Callable[[argparse.Namespace], str]] = {
    "points": points,
    "kill": kill,
    "calls": calls,
    "flips": flips,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="nearrow.testing.crash", description="Crash campaigns, each with a seed.")
    parser.add_argument("campaign", choices=CAMPAIGNS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=2, help="points: how many scripts")
    parser.add_argument("--cycles", type=int, default=200, help="kill: how many children")
    parser.add_argument("--step", type=int, default=1, help="points, calls, flips: every so many only")
    options = parser.parse_args()
    logging.disable(logging.ERROR)  # a failing disk is what this is about
    began = time.perf_counter()
    print(CAMPAIGNS[options.campaign](options))
    print(f"{options.campaign}, seed {options.seed}: {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
