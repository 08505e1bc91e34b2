"""Strace: do real system calls, with background threads, say the same as the calls that are struck in the process?

`strace` kills the writing child on entry to the n-th call of one kind, while its background threads are at work; and it
counts the calls of the script that `crash_calls` strikes, to show that none goes past `DiskCalls`. Needs strace and the
right to trace; `available()` says whether both are there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import nearrow
from nearrow.testing.crash_calls import calls_of, run_script
from nearrow.testing.crash_look import NAME, look, make_database, warm_up
from nearrow.testing.crash_script import Witness, script
from nearrow.testing.model import run

LENGTH = 14
KIND_OF_CALL = {
    "pwritev": "pwritev",
    "pwritev2": "pwritev",
    "pwrite64": "pwrite",
    "write": "write",
    "writev": "write",
    "openat": "open",
    "creat": "open",
    "open": "open",
    "mkdir": "mkdir",
    "mkdirat": "mkdir",
    "fsync": "fsync",
    "fdatasync": "fdatasync",
    "sync_file_range": "fdatasync",
    "msync": "msync",
    "rename": "rename",
    "renameat": "rename",
    "renameat2": "rename",
    "link": "link",
    "symlink": "link",
    "unlink": "unlink",
    "unlinkat": "unlink",
    "rmdir": "rmdir",
    "ftruncate": "ftruncate",
    "truncate": "ftruncate",
    "fallocate": "fallocate",
    "copy_file_range": "write",
    "sendfile": "write",
}
"""Every call of Linux that changes files, and what `DiskCalls` calls it."""
KILLED = ("pwritev2", "pwrite64", "fsync", "fdatasync", "rename", "unlink", "unlinkat", "mkdir", "ftruncate", "rmdir")
_TRACED = re.compile(r"^\d+ +(\w+)\((.*)\) += ")


@dataclass
class StraceTally:
    """Points struck for each system call."""

    points: Counter[str] = field(default_factory=Counter)
    acknowledged_writes: int = 0


def available() -> bool:
    """Whether strace is there and may trace."""
    strace = shutil.which("strace")
    if strace is None:
        return False
    return subprocess.run([strace, "-o", os.devnull, "true"], capture_output=True, check=False).returncode == 0


def kill_at_system_calls(
    seed: int, *, calls: tuple[str, ...] = KILLED, step: int = 1, points_max: int | None = None
) -> StraceTally:
    """Kill at every `step`-th call of each kind; AssertionError if anything acknowledged is lost or half there."""
    tally = StraceTally()
    warm_up()
    for call in calls:
        number = 1
        while points_max is None or tally.points[call] < points_max:
            killed, acknowledged = _kill_at(seed, call, number)
            if not killed:
                break
            tally.points[call] += 1
            tally.acknowledged_writes += acknowledged
            number += step
    return tally


def compare_calls(seed: int) -> tuple[Counter[str], Counter[str]]:
    """How many calls of each kind the script of `seed` makes: as strace sees them, and as `DiskCalls` counts them."""
    root = Path(tempfile.mkdtemp(prefix="nearrow-strace-"))
    try:
        warm_up()
        make_database(root / "empty", "full")
        counted = Counter(calls_of(root, script(seed, LENGTH)))
        shutil.copytree(root / "empty", root / "traced")
        trace = root / "trace"
        _run_traced(root / "traced", seed, "inline", "-y", "-o", str(trace), "-e", f"trace={','.join(KIND_OF_CALL)}")
        return Counter(_changes(trace.read_text(), str(root))), counted
    finally:
        shutil.rmtree(root)


def _changes(trace: str, path: str) -> list[str]:
    """The kinds of the traced calls that concern files below `path`."""
    found = []
    for line in trace.splitlines():
        match = _TRACED.match(line)
        if match is None or path not in match[2]:
            continue
        kind = KIND_OF_CALL[match[1]]
        if kind == "open" and "O_CREAT" not in match[2]:
            continue
        found.append("rmdir" if "AT_REMOVEDIR" in match[2] else kind)
    return found


def _kill_at(seed: int, call: str, number: int) -> tuple[bool, int]:
    """One child, killed at its `number`-th `call`; whether it was, and how many operations it had acknowledged."""
    root = Path(tempfile.mkdtemp(prefix="nearrow-strace-"))
    try:
        make_database(root / "database", "full")
        inject = ("-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}")
        done = _run_traced(root / "database", seed, "threads", "-o", os.devnull, *inject)
        acknowledged = done.stdout.count("acknowledged")
        killed = "end" not in done.stdout
        assert killed or done.returncode == 0, done.stderr
        witness = Witness()
        witness.expect(script(seed, LENGTH), acknowledged)
        look(root / "database", witness)
        return killed, acknowledged
    finally:
        shutil.rmtree(root)


def _run_traced(path: Path, seed: int, background: str, *options: str) -> subprocess.CompletedProcess[str]:
    program = (sys.executable, "-m", __name__, str(path), str(seed), background)
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = ["strace", "-f", "-qq", *options, *program]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=900)


def main() -> None:
    """The child: the script of a seed; one line for each operation that has returned, and one at the end."""
    path, seed, background = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    operations = script(seed, LENGTH)
    if background == "inline":
        run_script(path, operations)
    else:
        with nearrow.connect(path) as database:
            collection = database.collection(NAME)
            for operation in operations:
                run(collection, operation)
                print("acknowledged", flush=True)
    print("end", flush=True)


if __name__ == "__main__":
    main()
