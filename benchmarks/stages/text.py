"""Text: what rates do words alone, vectors alone and both together reach?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks import results
from benchmarks.session import EngineError
from benchmarks.stages import Plan, opened, say, today

QUERIES = 500
PASS_SECONDS = 8.0


def search_text(plan: Plan, dataset: str, engines: Sequence[str]) -> None:
    """Interleaved passes of the three, at the beam with recall 0.95 without words, for engines that have full text."""
    wanted = [name for name in engines if plan.again or "text" not in results.read(dataset, name, plan.results)]
    with opened(plan, dataset, wanted) as sessions:
        found: dict[str, dict[str, Any]] = {}
        beams: dict[str, Any] = {}
        for name, session in sessions.items():
            curve = results.read(dataset, name, plan.results).get("curve", [])
            reaching = [point["beam"] for point in curve if point["recall"] >= 0.95]
            beams[name] = reaching[0] if reaching else session.ask("describe", timeout=60)["beams"][-1]
            session.ask("open", timeout=plan.timeout, cores=plan.cores(2), beam=beams[name])
            found[name] = {"beam": beams[name]}
            try:
                session.ask(
                    "text",
                    timeout=plan.timeout,
                    cores=plan.cores(2),
                    beam=beams[name],
                    mode="hybrid",
                    queries=1,
                    limit=1,
                )
            except EngineError as failure:
                found[name] = {"error": str(failure) if "NotImplemented" not in str(failure) else "no full text"}
        for _ in range(plan.repeats):
            for name, session in sessions.items():
                if "error" not in found[name]:
                    _measure(plan, session, beams[name], found[name])
    for name, figures in found.items():
        results.update(dataset, name, {"text": figures | {"date": today()}}, plan.results)
        say(name, figures)


def _measure(plan: Plan, session: Any, beam: Any, figures: dict[str, Any]) -> None:
    try:
        for mode in ("text", "hybrid"):
            answer = session.ask(
                "text",
                timeout=plan.timeout,
                cores=plan.cores(2),
                beam=beam,
                mode=mode,
                queries=QUERIES,
                limit=PASS_SECONDS,
            )
            figures[mode] = max(answer["qps"], figures.get(mode, 0.0))
        answer = session.ask(
            "pass",
            timeout=plan.timeout,
            cores=plan.cores(2),
            beam=beam,
            queries=list(range(QUERIES)),
            limit=PASS_SECONDS,
            recall=False,
        )
        figures["vector"] = max(answer["qps"], figures.get("vector", 0.0))
    except EngineError as failure:
        figures["error"] = str(failure)
