"""Tables: how is a figure, a ratio or a size written in Markdown?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, empty when there are no rows; the first column is text, the others are right-aligned."""
    if not rows:
        return ""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *rows))


def ratio(value: float | None, reference: float | None) -> str:
    """` (2.1×)`, or nothing when one of the two is unknown."""
    return f" ({value / reference:.2f}×)" if value and reference else ""


def rate_text(rate: dict[str, Any] | None, reference: dict[str, Any] | None) -> str:
    """`12,345 (2.10×)`; `≥` where the narrowest beam already passes the recall; `–` where none reaches it."""
    if rate is None:
        return "–"
    sign = "≥ " if rate["at_least"] else ""
    return f"{sign}{rate['qps']:,.0f}{ratio(rate['qps'], reference['qps'] if reference else None)}"


def seconds_text(seconds: float) -> str:
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"


def build_seconds(outcome: dict[str, Any]) -> float | None:
    """Wall seconds; processor seconds of a one-thread build that had to share its core with something else."""
    return outcome.get("cpu_seconds") if _disturbed(outcome) else outcome.get("seconds")


def build_text(outcome: dict[str, Any]) -> str:
    """`12.3 s`, or `~12.3 s` when it is processor time."""
    return f"{'~' if _disturbed(outcome) else ''}{build_seconds(outcome):.1f} s"


def _disturbed(outcome: dict[str, Any]) -> bool:
    one_thread = outcome.get("threads") == 1
    return one_thread and outcome["cpu_seconds"] < 0.95 * outcome["seconds"]


def bytes_text(count: float) -> str:
    return f"{count / 2**20:,.1f} MiB"
