"""System calls: is every acknowledged row there if the process dies at its n-th write, fsync, rename, unlink …?

`strace` kills the writing child on entry to the n-th call of one kind, for each kind and each n until the child lives
through it. Needs strace and the right to trace; `available()` says whether both are there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import nearrow
from nearrow.testing.crash_kill import make_database
from nearrow.testing.crash_script import Witness, script
from nearrow.testing.model import run

CALLS = (
    "pwritev",
    "pwritev2",
    "pwrite64",
    "fsync",
    "fdatasync",
    "rename",
    "unlink",
    "unlinkat",
    "mkdir",
    "ftruncate",
    "rmdir",
)
LENGTH = 14


@dataclass
class SyscallTally:
    """Points struck for each system call."""

    points: dict[str, int] = field(default_factory=dict)
    acknowledged: int = 0


def available() -> bool:
    """Whether strace is there and may trace."""
    strace = shutil.which("strace")
    if strace is None:
        return False
    return subprocess.run([strace, "-o", os.devnull, "true"], capture_output=True, check=False).returncode == 0


def strike_calls(
    seed: int, *, calls: tuple[str, ...] = CALLS, step: int = 1, points_max: int | None = None
) -> SyscallTally:
    """Kill at every `step`-th call of each kind; AssertionError if anything acknowledged is lost or half there."""
    tally = SyscallTally()
    for call in calls:
        number = 1
        while points_max is None or tally.points.get(call, 0) < points_max:
            killed, acknowledged = strike_call(seed, call, number)
            if not killed:
                break
            tally.points[call] = tally.points.get(call, 0) + 1
            tally.acknowledged += acknowledged
            number += step
    return tally


def strike_call(seed: int, call: str, number: int) -> tuple[bool, int]:
    """One child, killed at its `number`-th `call`; whether it was, and how many operations it had acknowledged."""
    root = Path(tempfile.mkdtemp(prefix="nearrow-syscall-"))
    try:
        make_database(root / "database", durability="full")
        command = [
            *("strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={call}", "-e"),
            *(f"inject={call}:signal=KILL:when={number}", sys.executable, "-m", __name__),
            *(str(root / "database"), str(seed)),
        ]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, capture_output=True, env=environment, check=False, timeout=120)
        acknowledged = len(done.stdout.splitlines())
        operations = script(seed, LENGTH)
        killed = acknowledged < len(operations) + 1
        witness = Witness()
        model = witness.model
        for operation in operations[:acknowledged]:
            model, _ = model.after(operation)
        witness.possible = [model, *(model.after(o)[0] for o in operations[acknowledged : acknowledged + 1])]
        with nearrow.connect(root / "database") as database:
            witness.check(database.collection("crash"))
        assert killed or done.returncode == 0, done.stderr.decode()
        return killed, acknowledged
    finally:
        shutil.rmtree(root)


def main() -> None:
    """The child: the script of a seed; one line for each operation that has returned, and one at the end."""
    with nearrow.connect(sys.argv[1]) as database:
        collection = database.collection("crash")
        for operation in script(int(sys.argv[2]), LENGTH):
            run(collection, operation)
            print(operation[0], flush=True)
    print("end", flush=True)


if __name__ == "__main__":
    main()
