"""Run: how do Nearrow and its peers compare, on this machine, in one run?

    python -m benchmarks.run                              # everything; what has figures already is not repeated
    python -m benchmarks.run --setup                      # only .venv-bench with the peers (else made when it is missing)
    python -m benchmarks.run --set wordnet --engines nearrow,hnswlib --stages search --again
    python -m benchmarks.run --quick                      # a smoke of the harness on a tiny set

The stage `report`, the last, writes the tables and plots (`benchmarks.report`). Indexes and exact answers are kept
outside the repository (NEARROW_BENCH_CACHE, default ~/.cache/nearrow-bench), figures under benchmarks/results.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks import results
from benchmarks.data import SOURCES, cache_folder, load
from benchmarks.engines import DATABASES, INDEXES, entry
from benchmarks.measure import machine
from benchmarks.session import ROOT, peers_python
from benchmarks.setup_peers import install
from benchmarks.stages import Plan
from benchmarks.stages.build import build
from benchmarks.stages.count import count
from benchmarks.stages.filter import search_filtered
from benchmarks.stages.search import search
from benchmarks.stages.text import search_text

STAGES = ("build", "search", "count", "filter", "text", "report")


def arguments(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setup", action="store_true", help="create .venv-bench and install the peers into it")
    parser.add_argument(
        "--set", default=",".join(name for name in SOURCES if name != "tiny"), help="data sets, comma-separated"
    )
    parser.add_argument("--engines", default=",".join([*INDEXES, *DATABASES]), help="engines, comma-separated")
    parser.add_argument("--stages", default=",".join(STAGES))
    parser.add_argument("--threads", default="2,1", help="build threads; the index of the last one is searched")
    parser.add_argument(
        "--repeats", type=int, default=3, help="interleaved passes; the best counts, the median is kept"
    )
    parser.add_argument("--again", action="store_true", help="repeat what has figures already")
    parser.add_argument("--python", help="the interpreter that has the peers (default: .venv-bench)")
    parser.add_argument("--core", type=int, default=1, help="the core that one-thread work is pinned to")
    parser.add_argument(
        "--budget", type=float, help="stop an incremental build after these seconds; the next run goes on with it"
    )
    parser.add_argument("--timeout", type=float, default=1200, help="seconds after which a step counts as not finished")
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    parser.add_argument(
        "--quick", action="store_true", help="tiny set, one repeat, results thrown away unless --results is given"
    )
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> None:
    options = arguments(sys.argv[1:] if given is None else given)
    if options.setup:
        install()
        return
    needs_peers = any(not entry(name).ours for name in options.engines.split(","))
    if needs_peers and not Path(peers_python(options.python)).exists():
        install()
    if options.quick:
        options.set, options.repeats = "tiny", 1
        options.engines = ",".join(name for name in options.engines.split(",") if name in INDEXES)
        if options.results == results.FOLDER:
            options.results = cache_folder() / "quick-results"
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "machine.json").write_text(json.dumps(machine(), indent=1) + "\n")
    plan = Plan(
        python=peers_python(options.python),
        results=options.results,
        repeats=options.repeats,
        core=options.core,
        again=options.again,
        budget=options.budget,
        timeout=options.timeout,
        threads=tuple(int(count) for count in options.threads.split(",")),
    )
    names = options.engines.split(",")
    for dataset in options.set.split(","):
        load(dataset)
        indexes = [name for name in names if name in INDEXES]
        databases = [name for name in names if name in DATABASES and dataset == "wordnet"]
        for stage in options.stages.split(","):
            print(f"== {dataset}: {stage}", flush=True)
            if stage == "build":
                build(plan, dataset, indexes + databases)
            elif stage == "search":
                search(plan, dataset, indexes)
                search(plan, dataset, databases)
            elif stage == "count":
                count(plan, dataset, indexes)
            elif stage == "filter":
                search_filtered(plan, dataset, databases)
            elif stage == "text":
                search_text(plan, dataset, databases)
            elif stage == "report":
                continue  # once, after the last set
            else:
                raise SystemExit(f"unknown stage {stage!r}: one of {', '.join(STAGES)}")
    if "report" in options.stages.split(",") and not options.quick and Path(plan.python).exists():
        subprocess.run([plan.python, "-m", "benchmarks.report", str(options.results)], cwd=ROOT, check=False)


if __name__ == "__main__":
    main()
