"""Explanation: why did a search come back as it did, and what did it cost?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nearrow.query.planner import Plan


@dataclass(frozen=True)
class Explanation:
    """The plan, the seconds each step took, and how many hits came back. str() is for people, to_dict() for programs."""

    plan: Plan
    seconds: Mapping[str, float]
    hits: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values only."""
        plan = asdict(self.plan)
        for part, described in zip(self.plan.parts, plan["parts"], strict=True):
            described["selectivity"] = part.selectivity
        return {"plan": plan, "accepted": self.plan.accepted, "seconds": dict(self.seconds), "hits": self.hits}

    def __str__(self) -> str:
        times = ", ".join(f"{name} {seconds * 1e6:,.0f} µs" for name, seconds in self.seconds.items())
        return f"{self.plan}\n{self.hits} hits; {times}"
