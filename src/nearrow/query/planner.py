"""Planner: how will this request be answered, part by part?

A pure function of the request and of numbers about the parts; `explain` prints the plan, tests compare plans.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nearrow.query.accept import Accept
from nearrow.query.request import Request
from nearrow.segment.view import Part

SKIP, SCAN, GRAPH, RANGE = "skip", "scan", "graph", "range"


@dataclass(frozen=True)
class PartPlan:
    """How one part is searched. strategy: skip (no row is accepted), scan (exact), graph (walk), range (exact)."""

    part: str
    rows: int
    accepted: int
    strategy: str
    pruned: bool

    @property
    def selectivity(self) -> float:
        return self.accepted / self.rows if self.rows else 0.0

    def __str__(self) -> str:
        how = {
            SKIP: "skipped: no row passes",
            SCAN: "exact scan of the rows that pass",
            GRAPH: "graph walk",
            RANGE: "exact scan for all within the distance",
        }[self.strategy]
        by_zone = ", decided by its zone map" if self.pruned else ""
        return f"{self.part}: {how}; {self.accepted:,} of {self.rows:,} rows pass ({self.selectivity:.2%}{by_zone})"


@dataclass(frozen=True)
class Plan:
    """The whole plan: the kind of search, the filter, and each part."""

    kind: str
    where: str | None
    fusion: str | None
    parts: tuple[PartPlan, ...]

    @property
    def accepted(self) -> int:
        return sum(part.accepted for part in self.parts)

    def __str__(self) -> str:
        lines = [f"{self.kind} search" + (f", fused by {self.fusion}" if self.fusion else "")]
        if self.where is not None:
            lines.append(f"filter: {self.where}")
        return "\n".join(lines + [f"  {part}" for part in self.parts])


def make_plan(request: Request, parts: Sequence[Part], accept: Sequence[Accept]) -> Plan:
    """Decide for each part."""
    return Plan(
        request.kind,
        None if request.where is None else str(request.where),
        repr(request.fusion) if request.kind == "hybrid" else None,
        tuple(
            PartPlan(
                ":".join(str(piece) for piece in part.key) if isinstance(part.key, tuple) else str(part.key),
                part.rows,
                allowed.count,
                strategy_of(request, part, allowed),
                allowed.pruned,
            )
            for part, allowed in zip(parts, accept, strict=True)
        ),
    )


def strategy_of(request: Request, part: Part, allowed: Accept) -> str:
    if allowed.count == 0:
        return SKIP
    if request.query.within is not None:
        return RANGE
    return SCAN if part.graph is None or request.query.exact else GRAPH
