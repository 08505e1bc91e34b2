"""Filter report: who answers how fast, and how completely, at each selectivity?"""

from __future__ import annotations

from typing import Any

from benchmarks.tables import markdown
from benchmarks.workload import CORRELATIONS, NATURAL, SELECTIVITIES


def _cell(figures: dict[str, Any] | None) -> str:
    if figures is None:
        return "–"
    if "error" in figures:
        return figures["error"][:40]
    short = f", {figures['short']} short" if figures.get("short") else ""
    return f"{figures['qps']:,.0f} (.{round(figures['recall'] * 1000):03d}{short})".replace("(.1000", "(1.0")


def tables(found: dict[str, dict[str, Any]]) -> list[str]:
    """Queries per second with (recall@10, answers shorter than they should be): WordNet's own columns, then planted ones."""
    natural = ["none", *NATURAL]
    parts = [
        markdown(["metadata", *found], [[case, *[_cell(f.get(case)) for f in found.values()]] for case in natural])
    ]
    for correlation in CORRELATIONS:
        cases = [f"{share:.2%} {correlation}" for share in SELECTIVITIES]
        rows = [[case, *[_cell(figures.get(case)) for figures in found.values()]] for case in cases]
        parts.append(markdown([f"planted, {correlation}", *found], rows))
    return parts
