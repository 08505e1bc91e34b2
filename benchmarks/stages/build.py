"""Build: how long does each engine take to index the set, on one thread and on two, and how large is the result?"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.engines import entry
from benchmarks.session import EngineError, Session
from benchmarks.stages import Plan, index_folder, say, today


class UnfinishedError(Exception):
    """The time budget of this run is spent; what is built so far is kept for the next one."""


def build(plan: Plan, dataset: str, engines: Sequence[str]) -> None:
    for engine in engines:
        for threads in plan.threads:
            known = results.read(dataset, engine, plan.results).get("build", {})
            saved = index_folder(dataset, engine)
            if not plan.again and "seconds" in known.get(str(threads), {}) and saved.exists():
                continue
            if not plan.again and "error" in known.get(str(threads), {}) and not entry(engine).ours:
                say(f"{engine}: {known[str(threads)]['error']} (known; --again tries again)")
                continue
            try:
                outcome = _build(plan, dataset, engine, threads, saved)
            except UnfinishedError:
                continue
            results.update(dataset, engine, {"build": known | {str(threads): outcome}}, plan.results)
            say(f"{engine} built on {threads}:", outcome.get("error") or f"{outcome['seconds']:.1f} s")


def _build(plan: Plan, dataset: str, engine: str, threads: int, saved: Path) -> dict[str, Any]:
    """Build beside the final folder, then take its place; an unfinished build stays for the next run."""
    folder = saved.with_name(f"{engine}.building-{threads}")
    progress = folder.with_suffix(".json")
    unfinished = json.loads(progress.read_text()) if progress.exists() and folder.exists() else {}
    done, spent = unfinished.get("done", 0), unfinished.get("spent", {})
    if not done:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    try:
        with contextlib.closing(Session(engine, dataset, folder, plan.python, timeout=plan.timeout)) as session:
            outcome = session.ask(
                "build",
                timeout=plan.timeout,
                threads=threads,
                cores=plan.cores(threads),
                budget=plan.budget,
                done=done,
                spent=spent,
            )
            described = session.ask("describe", timeout=60)
    except EngineError as failure:
        return {"error": str(failure), "date": today()}
    if not outcome.pop("finished"):
        spent = {key: outcome[key] for key in ("seconds", "cpu_seconds")}
        progress.write_text(json.dumps({"done": outcome["done"], "spent": spent}))
        say(f"{engine}: {outcome['done']} rows after {outcome['seconds']:.0f} s; run again to go on")
        raise UnfinishedError
    progress.unlink(missing_ok=True)
    shutil.rmtree(saved, ignore_errors=True)
    folder.rename(saved)
    return outcome | {"threads": threads, "version": described["version"], "date": today()}
