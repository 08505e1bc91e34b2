"""Disks: what happens when the disk is full, when fsync fails, when a byte is another one, when two want to write?"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from benchmarks.faults.batches import Promise, batch
from benchmarks.faults.crashes import DISK_MEGABYTES, Figures
from benchmarks.faults.looking import SECONDS_MAX, Open, judge, look
from nearrow.testing.children import Child, Report, killed_at_the_end, run_child
from nearrow.testing.small_disk import small_disk

FREE_BYTES = 3 << 20
BATCHES_MAX = 1500
AFTERWARDS = 3
TRIED = 5
SYNCS = "fsync,fdatasync,msync,sync_file_range,syncfs"


def full_disk(open_store: Open, cycles: int, seed: int) -> Figures:
    """Batches until the disk is full and some more; then there is space again."""
    with small_disk(DISK_MEGABYTES) as disk:
        path, ballast, promise = disk.root / "database", disk.root / "ballast", Promise()

        def task(report: Report) -> None:
            store = open_store(path)
            for number in range(1, 15):
                store.write(batch(number))
                report(f"acknowledged {number}")
            free = shutil.disk_usage(disk.root).free
            with open(ballast, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, max(1, free - FREE_BYTES))
            refused, number = 0, 15
            while refused < AFTERWARDS and number < BATCHES_MAX:
                try:
                    store.write(batch(number))
                    report(f"acknowledged {number}")
                except Exception as error:  # whatever it is, it is the answer
                    refused += 1
                    report(f"refused {number} {type(error).__name__}: {str(error)[:120]}")
                number += 1
            store.close()

        ending = Child(task, seconds_max=SECONDS_MAX).end()
        last, after_refusal, refusals, unsure = 0, 0, [], []
        for told in ending.reports:
            kind, number, *error = told.split(" ", 2)
            if kind == "acknowledged":
                promise.acknowledge(int(number))
                after_refusal += bool(refusals)
            else:
                refusals.append(error[0])
                unsure.append(int(number))
            last = int(number)
        ballast.unlink(missing_ok=True)
        seen = look(open_store, path)
        return {
            "batches acknowledged": last - len(refusals),
            "refused with": sorted(set(refusals))[:2] or "never",
            "ended by": f"signal {ending.signal}"
            if ending.signal
            else ending.error.strip().splitlines()[-1:] or "itself",
            "acknowledged after a refusal": after_refusal,
            "afterwards": dict(judge(seen, promise, [*unsure, last + 1])) or "all there",
            "problem": seen.problem,
        }


def failed_sync(open_store: Open, cycles: int, seed: int) -> Figures:
    """Every fsync fails with EIO while batches are written: does the engine still say that they were written?"""
    told, calls = _traced_writes(open_store, f"inject={SYNCS}:error=EIO")
    return {
        "batches written": TRIED,
        "acknowledged": sum(text == "acknowledged" for text in told),
        "syncs that failed": calls,
        "answers": sorted({text for text in told if text != "acknowledged"})[:2],
    }


def syncs(open_store: Open, cycles: int, seed: int) -> Figures:
    """How many syncs does a batch make?"""
    told, calls = _traced_writes(open_store, f"trace={SYNCS}")
    return {"batches acknowledged": told.count("acknowledged"), "syncs": calls}


def _traced_writes(open_store: Open, expression: str) -> tuple[list[str], int]:
    """A few batches by a process to which strace was attached after it had opened; its answers, and the syncs seen."""
    with tempfile.TemporaryDirectory(prefix="faults-sync-") as folder:
        read_end, write_end = os.pipe()

        def task(report: Report) -> None:
            store = open_store(Path(folder) / "database")
            for number in range(1, 3):
                store.write(batch(number))
            report("ready")
            os.read(read_end, 1)
            for number in range(3, 3 + TRIED):
                try:
                    store.write(batch(number))
                    report("acknowledged")
                except Exception as error:  # whatever it is, it is the answer
                    report(f"{type(error).__name__}: {str(error)[:120]}")
            os._exit(0)

        trace = Path(folder) / "trace"
        with killed_at_the_end(Child(task, seconds_max=SECONDS_MAX)) as child:
            assert child.report() == "ready", child.end().error
            command = ["strace", "-f", "-p", str(child.pid), "-o", str(trace), "-e", expression]
            with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
                assert tracer.stderr is not None
                tracer.stderr.readline()  # "Process … attached"
                os.write(write_end, b"g")
                ending = child.end()
                tracer.wait()
        os.close(read_end)
        os.close(write_end)
        names = SYNCS.replace(",", "|")
        return ending.reports[1:], len(re.findall(rf"(?m)^\d+ +(?:{names})\(", trace.read_text()))


def flips(open_store: Open, cycles: int, seed: int) -> Figures:
    """One random byte of a closed database is another one; half of the times any byte, half of the times any file's."""
    with tempfile.TemporaryDirectory(prefix="faults-flips-", dir="/dev/shm") as folder:
        whole, copy = Path(folder) / "whole", Path(folder) / "copy"

        def task(report: Report) -> None:
            store = open_store(whole)
            for number in range(1, 25):
                store.write(batch(number))
            store.flush()
            store.close()

        run_child(task).expect()
        expected = look(open_store, whole)
        assert not expected.problem, expected.problem
        outcomes: Counter[str] = Counter()
        examples: dict[str, str] = {}
        for name, byte, mask in _random_flips(whole, cycles, Random(seed)):
            shutil.rmtree(copy, ignore_errors=True)
            subprocess.run(["cp", "-r", "--sparse=always", whole, copy], check=True)
            with _opened(copy / name) as file:
                file.seek(byte)
                old = file.read(1)[0]
                file.seek(byte)
                file.write(bytes([old ^ mask]))
            seen = look(open_store, copy)
            if seen.problem:
                outcome = "typed error" if seen.problem.startswith("refuses") else seen.problem
            else:
                outcome = "harmless" if seen == expected else "rows missing or of another version, no error"
            outcomes[outcome] += 1
            examples.setdefault(outcome, f"{name} byte {byte}")
        return {"flips": cycles, **dict(outcomes), "examples": examples}


@contextmanager
def _opened(path: Path) -> Iterator[object]:
    path.chmod(0o644)
    with open(path, "r+b") as file:
        yield file


def _random_flips(root: Path, count: int, random: Random) -> Iterator[tuple[str, int, int]]:
    sizes = {}
    for file in sorted(root.rglob("*")):
        if file.is_file():
            size = len(file.read_bytes().rstrip(b"\0"))
            if size:
                sizes[str(file.relative_to(root))] = size
    names = list(sizes)
    for turn in range(count):
        weights = list(sizes.values()) if turn % 2 else None
        name = random.choices(names, weights)[0]
        yield name, random.randrange(sizes[name]), 1 << random.randrange(8)


def two_writers(open_store: Open, cycles: int, seed: int) -> Figures:
    """A second process opens the database and writes while the first one does."""
    with tempfile.TemporaryDirectory(prefix="faults-two-") as folder:
        path, promise = Path(folder) / "database", Promise()
        read_end, write_end = os.pipe()

        def first(report: Report) -> None:
            store = open_store(path)
            store.write(batch(1))
            report("acknowledged 1")
            os.read(read_end, 1)
            _write_some(store, [3, 5], report)
            store.close()

        def second(report: Report) -> None:
            store = open_store(path)
            report("opened")
            _write_some(store, [2, 4], report)
            store.close()

        with killed_at_the_end(Child(first, seconds_max=SECONDS_MAX)) as child:
            child.report()
            other = Child(second, seconds_max=SECONDS_MAX).end()
            os.write(write_end, b"g")
            ending = child.end()
        os.close(read_end)
        os.close(write_end)
        for told in sorted(other.reports + ending.reports):
            if told.startswith("acknowledged"):
                promise.acknowledge(int(told.split()[1]))
        wrong = judge(look(open_store, path), promise, [])
        refused = [told for told in other.reports + ending.reports if told.startswith("refused")]
        return {
            "second writer": "opens and writes"
            if "opened" in other.reports
            else ("refused: " + (other.error.strip().splitlines() or [f"signal {other.signal}"])[-1][:120]),
            "writes refused": refused[:2],
            "afterwards": dict(wrong) or "all acknowledged there",
        }


def _write_some(store: object, numbers: list[int], report: Report) -> None:
    for number in numbers:
        try:
            store.write(batch(number))  # type: ignore[attr-defined]
            report(f"acknowledged {number}")
        except Exception as error:  # whatever it is, it is the answer
            report(f"refused {number} {type(error).__name__}: {str(error)[:120]}")
