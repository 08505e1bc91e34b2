"""Search: what rate does each engine reach at which recall, one query at a time, and how soon after opening?"""

from __future__ import annotations

import bisect
import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks import results
from benchmarks.measure import RECALLS, rate_at
from benchmarks.session import EngineError, Session
from benchmarks.stages import REFERENCE, Plan, opened, say, today

ENOUGH_RECALL = 0.9995
PASS_SECONDS = 2.5  # a slow engine is asked fewer of the queries: all engines of a set pass within minutes
QUIET_SHARE = 0.97
TRIES = 4


def search(plan: Plan, dataset: str, engines: Sequence[str]) -> None:
    """Recall against rate over each engine's beams; passes interleave engines, the yardstick always among them."""
    wanted = [name for name in engines if plan.again or "curve" not in results.read(dataset, name, plan.results)]
    if not wanted:
        return
    together = wanted if REFERENCE in wanted else [REFERENCE, *wanted]
    with opened(plan, dataset, together) as sessions:
        entered, beams = {}, {}
        for name in list(sessions):
            try:
                described = sessions[name].ask("describe", timeout=60)
                middle = described["beams"][len(described["beams"]) // 3]
                entered[name] = sessions[name].ask("open", timeout=plan.timeout, cores=[plan.core], beam=middle)
                entered[name] |= {"version": described["version"], "parameters": described["parameters"]}
                beams[name] = described["beams"]
            except EngineError as failure:
                say(f"{name}: {failure}")
                results.update(dataset, name, {"search_error": str(failure)}, plan.results)
                sessions.pop(name).close()
        passes: dict[str, dict[Any, list[dict[str, Any]]]] = {name: {} for name in sessions}
        for repeat in range(plan.repeats):
            for name in list(sessions):
                try:
                    first = repeat == 0
                    asked = beams[name] if first else _deciding(passes[name])
                    _sweep(plan, sessions[name], asked, passes[name], first=first)
                except EngineError as failure:
                    say(f"{name}: {failure}")
                    results.update(dataset, name, {"search_error": str(failure)}, plan.results)
                    sessions.pop(name).close()
        summaries = {name: _summary(passes[name]) for name in sessions}
        for name, session in sessions.items():
            summaries[name]["batch"] = _batch(plan, session, summaries[name]["curve"])
            for what in ("resident", "statistics"):
                try:
                    summaries[name][what] = session.ask(what, timeout=60)
                except EngineError as failure:
                    say(f"{name}: {what}: {failure}")
    for name, summary in summaries.items():
        reference = summaries.get(REFERENCE, {})
        part = {"open": entered[name], "date": today(), **summary, "repeats": plan.repeats}
        part["reference"] = {"engine": REFERENCE, "at": reference.get("at"), "batch": reference.get("batch")}
        results.update(dataset, name, part, plan.results)
        say(name, {recall: rate and round(rate["qps"]) for recall, rate in summary["at"].items()})


def _deciding(passes: dict[Any, list[dict[str, Any]]]) -> list[Any]:
    """The beams on both sides of each recall that the table names: only they are worth repeating."""
    by_recall = sorted(passes, key=lambda beam: float(passes[beam][0]["recall"]))
    recalls = [passes[beam][0]["recall"] for beam in by_recall]
    chosen = set()
    for recall in RECALLS:
        above = bisect.bisect_left(recalls, recall)
        chosen |= {place for place in (above - 1, above) if 0 <= place < len(by_recall)}
    return [by_recall[place] for place in sorted(chosen)]


def _sweep(
    plan: Plan, session: Session, beams: list[Any], passes: dict[Any, list[dict[str, Any]]], *, first: bool
) -> None:
    """One pass per beam; the first sweep measures recall and stops where it is as good as complete."""
    for beam in beams:
        answer = session.ask(
            "pass", timeout=plan.timeout, cores=[plan.core], beam=beam, queries=None, limit=PASS_SECONDS, recall=first
        )
        for _ in range(TRIES - 1):  # another process had the core: once more, and the better one counts
            if answer["core_share"] >= QUIET_SHARE:
                break
            again = session.ask(
                "pass",
                timeout=plan.timeout,
                cores=[plan.core],
                beam=beam,
                queries=None,
                limit=PASS_SECONDS,
                recall=False,
            )
            answer |= again if again["qps"] > answer["qps"] else {}
        passes.setdefault(beam, []).append(answer)
        if first and answer["recall"] >= ENOUGH_RECALL:
            break


def _summary(passes: dict[Any, list[dict[str, Any]]]) -> dict[str, Any]:
    curve = []
    for beam, answers in passes.items():
        best = max(answers, key=lambda answer: answer["qps"])
        curve.append(
            {
                "beam": beam,
                "recall": answers[0]["recall"],
                "qps": best["qps"],
                "median_qps": statistics.median(answer["qps"] for answer in answers),
                "p50_us": best["p50_us"],
                "p99_us": best["p99_us"],
                "short": answers[0]["short"],
                "core_share": best["core_share"],
            }
        )
    points = [(point["recall"], point["qps"]) for point in curve]
    rates = {f"{recall:g}": rate_at(points, recall) for recall in RECALLS}
    at = {
        recall: None if rate is None else {"qps": rate.qps, "at_least": rate.at_least} for recall, rate in rates.items()
    }
    return {"curve": curve, "at": at}


def _batch(plan: Plan, session: Session, curve: list[dict[str, Any]]) -> dict[str, Any]:
    """All queries in one call on two threads, at the cheapest beam with recall 0.95 (or the best there is)."""
    reaching = [point for point in curve if point["recall"] >= 0.95]
    point = max(reaching, key=lambda p: p["qps"]) if reaching else max(curve, key=lambda p: p["recall"])
    try:
        answers = [
            session.ask("batch", timeout=plan.timeout, cores=plan.cores(2), beam=point["beam"], threads=2)["qps"]
            for _ in range(plan.repeats)
        ]
    except EngineError as failure:
        return {"error": str(failure)}
    return {"threads": 2, "beam": point["beam"], "recall": point["recall"], "qps": max(answers)}
