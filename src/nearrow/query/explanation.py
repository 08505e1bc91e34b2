"""Explanation: why did a search come back as it did, and what did it cost?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy.typing as npt

from nearrow.query.planner import Plan


@dataclass(frozen=True)
class Explanation:
    """The plan, the seconds that each step took, and of each hit what its score is made of.

    str() is for people, to_dict() for programs: plain values only.
    """

    plan: Plan
    seconds: Mapping[str, float]
    scores: Mapping[str, npt.NDArray[Any]]
    """id, distance, score and the parts of the score, one value a hit."""

    @property
    def hits(self) -> int:
        return len(self.scores["id"])

    def to_dict(self) -> dict[str, Any]:
        plan = asdict(self.plan)
        for part, described in zip(self.plan.parts, plan["parts"], strict=True):
            described["selectivity"] = part.selectivity
            described["estimated_selectivity"] = part.estimated_selectivity
        columns = {name: values.tolist() for name, values in self.scores.items()}
        scores = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        seconds = dict(self.seconds)
        return {"plan": plan, "accepted": self.plan.accepted, "seconds": seconds, "hits": self.hits, "scores": scores}

    def __str__(self) -> str:
        times = ", ".join(f"{name} {seconds * 1e6:,.0f} µs" for name, seconds in self.seconds.items())
        lines = [str(self.plan), f"{self.hits} hits; {times}"]
        for index in range(min(self.hits, 10)):
            shown = (f"{name} {values[index]:.4g}" for name, values in self.scores.items() if name != "id")
            lines.append(f"  {self.scores['id'][index]!r}: {', '.join(shown)}")
        return "\n".join(lines)
