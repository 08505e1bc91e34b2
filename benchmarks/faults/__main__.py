"""Which engines meet which faults, and where is it written down?"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import site
import subprocess
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

from benchmarks.faults import crashes, disks
from benchmarks.faults.stores import STORES
from benchmarks.faults.table import RESULTS, markdown
from nearrow.testing import small_disk
from nearrow.testing.crash_strace import available as strace_available

CASES = {
    "kill": (crashes.kill, 60),
    "power": (crashes.power, 40),
    "power_flushed": (crashes.power_flushed, 40),
    "flips": (disks.flips, 200),
    "full_disk": (disks.full_disk, 1),
    "failed_sync": (disks.failed_sync, 1),
    "syncs": (disks.syncs, 1),
    "two_writers": (disks.two_writers, 1),
}
NEED_DISK = ("power", "power_flushed", "full_disk")
NEED_STRACE = ("failed_sync", "syncs")


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.faults", description="The same faults for every database.")
    parser.add_argument("--peers", type=Path, help="the virtual environment with the peers")
    parser.add_argument("--engine", choices=STORES, action="append")
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--cycles", type=int, help="kill, power, flips: how many")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="print the results so far")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.table:
        print(markdown())
        return
    for engine in options.engine or STORES:
        if options.inside:
            run(engine, options)
        else:
            _run_in_own_namespace(engine)


def _run_in_own_namespace(engine: str) -> None:
    """Each engine in a process of its own; no mount outlives it."""
    own = ["unshare", "-m"] if small_disk.available() else []
    chosen = [argument for argument in sys.argv[1:] if argument not in STORES and argument != "--engine"]
    command = [*own, sys.executable, "-m", "benchmarks.faults", *chosen, "--engine", engine, "--inside"]
    subprocess.run(command, check=False)


def run(engine: str, options: argparse.Namespace) -> None:
    """Every chosen case for one engine."""
    if options.peers is not None:
        (packages,) = options.peers.glob("lib/python*/site-packages")
        site.addsitedir(str(packages))
    open_store, module, distribution = STORES[engine]
    importlib.import_module(module)
    warnings.filterwarnings("ignore", category=RuntimeWarning)  # lancedb warns of every fork
    logging.disable(logging.CRITICAL)
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{engine}.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    results["version"] = version(distribution)
    for case in options.case or CASES:
        if (case in NEED_DISK and not small_disk.available()) or (case in NEED_STRACE and not strace_available()):
            print(f"{engine} {case}: not possible here", flush=True)
            continue
        function, cycles = CASES[case]
        results[case] = function(open_store, options.cycles or cycles, options.seed)
        print(f"{engine} {case}: {json.dumps(results[case])}", flush=True)
        file.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    os._exit(0)  # engines whose threads wait for ever do not hold up the next one


if __name__ == "__main__":
    main()
