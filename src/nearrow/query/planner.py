"""Planner: how will this request be answered, part by part?

A pure function of the request and of numbers about the parts; `explain` prints the plan, tests compare plans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nearrow.index.graph import crossovers
from nearrow.query.accept import Accept
from nearrow.query.estimate import estimated_share
from nearrow.query.request import Request
from nearrow.segment.view import Part

SKIP, WORDS, EXACT, RANGE = "skip", "words", "exact scan", "range"
CODES, SKETCH, MASKED, TWO_HOPS, WALK = "code scan", "sketch scan", "masked walk", "two-hop walk", "walk"
MEANING = {
    SKIP: "skipped, no row passes",
    WORDS: "the text index finds the rows",
    EXACT: "exact scan of the vectors that pass",
    RANGE: "exact scan for all within the distance",
    CODES: "scan of the codes that pass, the best ones measured exactly",
    SKETCH: "scan of one bit a dimension of the rows that pass, the best ones scored by codes, then measured exactly",
    MASKED: "walk through everything, keeping what passes",
    TWO_HOPS: "walk over the rows that pass, through failing neighbours to theirs",
    WALK: "graph walk",
}


@dataclass(frozen=True)
class Crossovers:
    """Where one way of searching a graph under a filter becomes cheaper than the next (docs/decisions/073, 074).

    scan_rows: up to so many accepted rows are scanned, or scan_beams times the beam, if that is more.
    sketch_beams: with a sketch, so many are scanned for each one of the beam, and more of them the fewer pass.
    masked_share: from this share of accepted rows everything is walked.
    """

    scan_rows: int
    scan_beams: int
    sketch_beams: int
    masked_share: float


CROSSOVERS = Crossovers(*crossovers())
"""Those by which the kernel decides on this processor."""


@dataclass(frozen=True)
class PartPlan:
    """How one part is searched, and what its filter lets through.

    measured: what a search of this part really did: its way, hops, code_distances, exact_distances, and its seconds.
    """

    part: str
    rows: int
    accepted: int
    strategy: str
    pruned: bool = False
    estimated_selectivity: float = 1.0
    beam: int | None = None
    measured: Mapping[str, Any] = field(default_factory=dict)

    @property
    def selectivity(self) -> float:
        return self.accepted / self.rows if self.rows else 0.0

    def __str__(self) -> str:
        by_zone = ", decided by its zone map" if self.pruned else f", estimated {self.estimated_selectivity:.2%}"
        beam = f", beam {self.beam}" if self.beam is not None else ""
        counted = "".join(
            f", {value * 1e6:,.0f} µs" if name == "seconds" else f", {value:,} {name.replace('_', ' ')}"
            for name, value in self.measured.items()
            if name != "way"
        )
        done = f", in fact: {self.measured['way']}" if "way" in self.measured else ""
        return (
            f"{self.part}: {self.strategy} ({MEANING[self.strategy]}){beam}; "
            f"{self.accepted:,} of {self.rows:,} rows pass ({self.selectivity:.2%}{by_zone}){done}{counted}"
        )


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

    @property
    def skipped(self) -> int:
        return sum(part.strategy == SKIP for part in self.parts)

    def __str__(self) -> str:
        lines = [f"{self.kind} search" + (f", fused by {self.fusion}" if self.fusion else "")]
        if self.where is not None:
            lines.append(f"filter: {self.where}")
        if self.skipped:
            lines.append(f"{self.skipped} of {len(self.parts)} parts skipped")
        return "\n".join(lines + [f"  {part}" for part in self.parts])


def make_plan(request: Request, metric: str, parts: Sequence[Part], accept: Sequence[Accept]) -> Plan:
    """Decide for each part."""
    return Plan(
        request.kind,
        None if request.where is None else str(request.where),
        repr(request.fusion) if request.kind == "hybrid" else None,
        tuple(_part_plan(request, metric, part, allowed) for part, allowed in zip(parts, accept, strict=True)),
    )


def _part_plan(request: Request, metric: str, part: Part, allowed: Accept) -> PartPlan:
    beam = beam_of(request, metric, part, allowed)
    return PartPlan(
        ":".join(str(piece) for piece in part.key) if isinstance(part.key, tuple) else str(part.key),
        part.rows,
        allowed.count,
        strategy_of(request, part.rows, allowed, beam),
        allowed.pruned,
        estimated_share(request.where, part.zone, part.rows),
        beam,
    )


def beam_of(request: Request, metric: str, part: Part, allowed: Accept) -> int | None:
    """The beam with which the part's graph is walked; None if it is not."""
    query = request.query
    if part.graph is None or query.exact or query.k is None or request.walked_vector(metric) is None:
        return None
    k = min(query.k, max(allowed.count, 1))
    return max(k, query.ef_search or part.graph.beam_for(query.target_recall, k))


def strategy_of(request: Request, rows: int, allowed: Accept, beam: int | None, limits: Crossovers = CROSSOVERS) -> str:
    """How a part of so many rows is searched."""
    if allowed.count == 0:
        return SKIP
    if request.vector is None:
        return WORDS
    if beam is None:
        return RANGE if request.query.within is not None and request.query.k is None else EXACT
    k = min(request.query.k or 1, allowed.count)
    if k * 4 >= rows or allowed.count <= 2 * k:
        return EXACT
    if allowed.bits is None:
        return WALK
    if allowed.sketched and allowed.count <= limits.sketch_beams * beam * rows / allowed.count:
        return SKETCH
    if allowed.count <= max(limits.scan_rows, limits.scan_beams * beam):
        return CODES
    return MASKED if allowed.count / rows >= limits.masked_share else TWO_HOPS
