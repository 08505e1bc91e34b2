"""Report: what did a check find, and what did a repair do?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Severity = Literal["derived", "rows"]
"""derived: repair() rebuilds it from the rows, nothing is lost. rows: rows, or the knowledge of deletes, are damaged."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong."""

    file: str
    what: str
    severity: Severity


@dataclass(frozen=True)
class Report:
    """What `check()` found. `checked` counts what was looked at."""

    problems: tuple[Problem, ...]
    checked: Mapping[str, int]

    @property
    def ok(self) -> bool:
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "problems": [asdict(problem) for problem in self.problems],
            "checked": dict(self.checked),
        }

    def __str__(self) -> str:
        looked = ", ".join(f"{count:,} {name}" for name, count in self.checked.items())
        if self.ok:
            return f"ok: {looked}"
        lines = [f"{len(self.problems)} problems; checked {looked}"]
        lines += [f"  {problem.severity:8} {problem.file}: {problem.what}" for problem in self.problems]
        lines.append("repair() rebuilds what is derived, saves the rows that can be read and says which are lost")
        return "\n".join(lines)


@dataclass(frozen=True)
class Lost:
    """Rows of one damaged file that are gone. `ids` are those that could still be read; `rows` counts all of them.

    `places`: where in the file they lay (first and last of each run, from 0); some of these may have been replaced since.
    """

    file: str
    rows: int
    ids: tuple[str | int, ...] = ()
    places: tuple[tuple[int, int], ...] = ()

    def __str__(self) -> str:
        places = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in self.places)
        return f"{self.file}: {self.rows:,} rows, at {places}; ids known: {list(self.ids)}"


@dataclass(frozen=True)
class Repair:
    """What `repair()` did."""

    rebuilt: tuple[str, ...] = ()
    """Derived files that were dropped or written anew. Graphs and the text index follow in the background: wait()."""
    quarantined: tuple[str, ...] = ()
    """Damaged files, copied into `quarantine/` before anything was changed; never deleted."""
    lost: tuple[Lost, ...] = ()
    unverified_rows: int = 0
    """Rows read from a damaged rows.arrow: well-formed, but a value, even an id, may differ: one digest covers it all."""
    deletes_lost: int = 0
    """Rows that had been deleted and are back, because the bitmap that said so is damaged."""
    records_lost: int = 0
    """Durable log records (each one atomic write) behind the damage in the log."""
    notes: tuple[str, ...] = field(default=())

    @property
    def rows_lost(self) -> int:
        return sum(lost.rows for lost in self.lost)

    @property
    def changed(self) -> bool:
        return self != Repair()

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "rows_lost": self.rows_lost, "changed": self.changed}

    def __str__(self) -> str:
        if not self.changed:
            return "nothing was damaged"
        lines = [
            f"rows lost: {self.rows_lost:,}; log records lost: {self.records_lost:,}; deletes lost: {self.deletes_lost:,}; "
            f"rows from damaged files, unverified: {self.unverified_rows:,}"
        ]
        lines += [f"  lost     {lost}" for lost in self.lost]
        lines += [f"  rebuilt  {name}" for name in self.rebuilt]
        lines += [f"  kept in  {name}" for name in self.quarantined]
        lines += [f"  note     {note}" for note in self.notes]
        return "\n".join(lines)
