"""Filter: what rate and recall has each database when a condition holds for many rows, few, or the wrong ones?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from benchmarks import results, workload
from benchmarks.data import load
from benchmarks.session import EngineError, Session
from benchmarks.stages import Plan, opened, say, today

GOOD_RECALL = 0.95
CHOSEN_RECALL = 0.955
"""What a beam must reach on the half of the queries on which it is chosen: the other half may be harder."""
HALVINGS = 2
"""How often the gap between two of an engine's beams is halved, so that none is charged for beams that lie far apart."""
QUERIES = 500
PLANTED_QUERIES = 200
PASS_SECONDS = 3.0


def cases(dataset: str) -> dict[str, tuple[str | None, list[int], str]]:
    """Name → (condition, numbers of the queries, correlation) of everything that is asked."""
    data = load(dataset)
    every = list(range(QUERIES))
    asked: dict[str, tuple[str | None, list[int], str]] = {"none": (None, every, "natural")}
    for name in workload.NATURAL:
        asked[name] = (name, every, "natural")
    for correlation in workload.CORRELATIONS:
        queries = workload.queries_for(data, correlation, PLANTED_QUERIES)
        for share in workload.SELECTIVITIES:
            asked[f"{share:.2%} {correlation}"] = (workload.planted_name(share, correlation), queries, correlation)
    return asked


def search_filtered(plan: Plan, dataset: str, engines: Sequence[str]) -> None:
    """All engines answer one case before the next begins; a case is saved when done, so that a run can stop in between."""
    asked = {
        case: what
        for case, what in cases(dataset).items()
        if plan.again or any(case not in _known(plan, dataset, name) for name in engines)
    }
    if not asked:
        return
    for where, _, _ in asked.values():
        workload.truth(load(dataset), where)  # made before any engine waits for it
    until = time.monotonic() + (plan.budget or float("inf"))
    with opened(plan, dataset, engines) as sessions:
        beams: dict[str, list[Any]] = {}
        for name, session in sessions.items():
            beams[name] = session.ask("describe", timeout=60)["beams"]
            session.ask("open", timeout=plan.timeout, cores=plan.cores(2), beam=beams[name][0])
        for case, (where, queries, correlation) in asked.items():
            if time.monotonic() > until:
                say("time is up; run again to go on")
                return
            rows = _rows(dataset, where)
            for name in list(sessions):
                try:
                    sessions[name].ask("where", timeout=60, where=where)
                    found = _at_good_recall(plan, sessions[name], beams[name], queries)
                    say(
                        f"{name:20} {case:26} {found['qps']:9.0f} QPS  recall {found['recall']:.3f}  short {found['short']}"
                    )
                except EngineError as failure:
                    say(f"{name}, {case}: {failure}")
                    found = {"error": str(failure)}
                    if sessions[name].process.poll() is not None:
                        sessions.pop(name)
                known = _known(plan, dataset, name) | {case: found | {"rows": rows, "correlation": correlation}}
                results.update(dataset, name, {"filtered": known, "filtered_date": today()}, plan.results)


def _known(plan: Plan, dataset: str, engine: str) -> dict[str, Any]:
    return results.read(dataset, engine, plan.results).get("filtered", {})


def _rows(dataset: str, where: str | None) -> int:
    data = load(dataset)
    return len(data.base) if where is None else int(workload.accepted(data, workload.CONDITIONS[where]).sum())


def _at_good_recall(plan: Plan, session: Session, beams: list[Any], queries: list[int]) -> dict[str, Any]:
    """The rate and recall at the narrowest beam with good recall, of queries on which it was not chosen.

    Every second query serves to choose, the others to measure. When no beam is good enough, the one with the best recall
    counts, and its recall is told.
    """
    chosen_on, measured_on = queries[::2], queries[1::2]
    tried: list[dict[str, Any]] = []
    for beam in beams:
        tried.append(_asked(plan, session, beam, chosen_on, recall=True))
        if tried[-1]["recall"] >= CHOSEN_RECALL:
            break
        if len(tried) > 2 and tried[-1]["qps"] < 5:
            break  # too slow to go on, and slower with every wider beam
    best = max(tried, key=lambda answer: answer["recall"])
    if len(tried) > 1 and best is tried[-1] and best["recall"] >= CHOSEN_RECALL:
        best = _narrower(plan, session, tried[-2]["beam"], best, chosen_on)
    answer = _asked(plan, session, best["beam"], measured_on, recall=True)
    for _ in range(plan.repeats - 1):
        again = _asked(plan, session, best["beam"], measured_on, recall=False)
        answer |= again if again["qps"] > answer["qps"] else {}
    return answer


def _narrower(plan: Plan, session: Session, poor: int, good: dict[str, Any], queries: list[int]) -> dict[str, Any]:
    """A beam between one that is not good enough and one that is, which still is."""
    for _ in range(HALVINGS):
        middle = round((poor * good["beam"]) ** 0.5)
        if middle in (poor, good["beam"]):
            break
        answer = _asked(plan, session, middle, queries, recall=True)
        if answer["recall"] >= CHOSEN_RECALL:
            good = answer
        else:
            poor = middle
    return good


def _asked(plan: Plan, session: Session, beam: Any, queries: list[int], *, recall: bool) -> dict[str, Any]:
    return session.ask(
        "pass",
        timeout=plan.timeout,
        cores=plan.cores(2),
        beam=beam,
        queries=queries,
        limit=PASS_SECONDS,
        recall=recall,
    )
