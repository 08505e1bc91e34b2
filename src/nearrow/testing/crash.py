"""Crash: which campaign is run, with which seed, and what did it find?

    python -m nearrow.testing.crash calls --seed 3            every call that changes the disk × each fault, and recoveries
    python -m nearrow.testing.crash strace --seed 3           kill -9 at real system calls (needs strace)
    python -m nearrow.testing.crash kill --cycles 2000        kill -9 of a writing process at random moments
    python -m nearrow.testing.crash power --cycles 500        power cuts of a mounted ext4 (needs root and loop devices)
    python -m nearrow.testing.crash points --seeds 4          every disk operation × {power cut, EIO, ENOSPC}, simulated
    python -m nearrow.testing.crash flips                     every byte of every file of a small database
    python -m nearrow.testing.crash model --steps 100000      random steps against a dict and brute force (needs hypothesis)
    python -m nearrow.testing.crash churn --minutes 60        reader processes beside a churning, compacting writer
    python -m nearrow.testing.crash cases                     full disk, read-only mount, missing files, clock steps, locks

Each ends in a table of figures; anything lost, half there or wrong is an AssertionError that names the seed.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from nearrow.testing import crash_power, crash_strace, small_disk
from nearrow.testing.crash_calls import strike_calls
from nearrow.testing.crash_cases import run_cases
from nearrow.testing.crash_churn import churn
from nearrow.testing.crash_enumeration import Tally, enumerate_points
from nearrow.testing.crash_flips import flip_bytes
from nearrow.testing.crash_kill import kill_cycles

Figures = dict[str, object]


def calls(options: argparse.Namespace) -> Figures:
    steps = {"first": options.first, "step": options.step, "nested_step": options.nested_step}
    return vars(strike_calls(options.seed, **steps, folder=options.folder))


def strace(options: argparse.Namespace) -> Figures:
    if not crash_strace.available():
        raise SystemExit("strace is missing, or may not trace here")
    seen, counted = crash_strace.compare_calls(options.seed)
    assert seen == counted, f"strace saw {seen}, but {counted} were counted"
    return {"calls_seen_by_both": seen, **vars(crash_strace.kill_at_system_calls(options.seed, step=options.step))}


def kill(options: argparse.Namespace) -> Figures:
    return vars(kill_cycles(options.cycles, options.seed, options.folder))


def power(options: argparse.Namespace) -> Figures:
    if not small_disk.available():
        raise SystemExit("power cuts need Linux, root, loop devices, unshare and mkfs.ext4")
    return vars(crash_power.cut_power(options.cycles, options.seed))


def points(options: argparse.Namespace) -> Figures:
    tally = Tally()
    for seed in range(options.seed, options.seed + options.seeds):
        for durability in ("full", "batched", "off"):
            tally += enumerate_points(seed, durability=durability, step=options.step)
    assert tally.fired == tally.points, "a fault did not fire"
    return vars(tally)


def flips(options: argparse.Namespace) -> Figures:
    figures: Figures = {}
    for lazy in (False, True):
        tally = flip_bytes(options.step, first=options.first, lazy=lazy, folder=options.folder)
        assert not tally.failures, "\n".join(tally.failures)
        when = "digested lazily" if lazy else "digested at open"
        figures[f"{when}: flips"] = tally.flips
        for file, kinds in sorted(tally.outcomes.items()):
            figures[f"{when}: {file}"] = Counter(kinds)
    return figures


def model(options: argparse.Namespace) -> Figures:
    from nearrow.testing.model_campaign import random_steps  # needs hypothesis, which the others do not

    made = random_steps(options.steps, options.seed)
    return {"steps": sum(counts["steps"] for counts in made.values()), **made}


def cases(options: argparse.Namespace) -> Figures:
    return run_cases(options.seed)


def run_churn(options: argparse.Namespace) -> Figures:
    return vars(churn(options.minutes * 60, options.seed, readers=options.readers, folder=options.folder))


CAMPAIGNS: dict[str, Callable[[argparse.Namespace], Figures]] = {
    "calls": calls,
    "strace": strace,
    "kill": kill,
    "power": power,
    "points": points,
    "flips": flips,
    "model": model,
    "churn": run_churn,
    "cases": cases,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="nearrow.testing.crash", description="Crash campaigns, each with a seed.")
    parser.add_argument("campaign", choices=CAMPAIGNS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=2, help="points: how many scripts")
    parser.add_argument("--cycles", type=int, default=200, help="kill, power: how many children")
    parser.add_argument("--steps", type=int, default=10_000, help="model: how many steps of all kinds together")
    parser.add_argument("--minutes", type=float, default=60, help="churn: how long")
    parser.add_argument("--readers", type=int, default=4, help="churn: how many reader processes")
    parser.add_argument("--step", type=int, default=1, help="calls, strace, points, flips: every so many only")
    parser.add_argument("--first", type=int, default=0, help="calls, flips: begin there, to share a campaign out")
    parser.add_argument("--nested-step", type=int, default=1, help="calls: every so many calls of a recovery only")
    parser.add_argument("--folder", type=Path, help="calls, kill, flips, churn: where the databases lie")
    options = parser.parse_args()
    logging.disable(logging.ERROR)  # a failing disk is what this is about
    began = time.perf_counter()
    figures = CAMPAIGNS[options.campaign](options)
    print(table({"campaign": options.campaign, "seed": options.seed, **figures, "lost, half there, wrong": 0}))
    print(f"{time.perf_counter() - began:.0f} s")


def table(figures: Figures) -> str:
    """One figure a line."""
    width = max(map(len, figures))
    return "\n".join(f"{name.replace('_', ' '):{width}}  {_shown(value)}" for name, value in figures.items())


def _shown(value: object) -> str:
    if isinstance(value, Counter):
        return ", ".join(f"{count} × {name}" for name, count in sorted(value.items()))
    return str(value)


if __name__ == "__main__":
    main()
