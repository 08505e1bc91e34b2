"""Batches: what is written, and what may be there after a fault?

Batch n gives every row of group n % 10 the stamp n, or deletes the group before; ten batches later the group is written
again. A group whose rows have two stamps is half a batch; an older stamp than the acknowledged one is a lost write; a group
that was deleted and is there is a resurrected one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

GROUPS = 10
ROWS = 20
DIMENSION = 256
DELETED = 0
"""Stands for the stamps of a group that is not there."""

Found = dict[int, list[int]]
"""Group → the stamps of its rows, one for each row."""


@dataclass(frozen=True)
class Batch:
    """One atomic change: `ids` get the vectors, or go."""

    number: int
    delete: bool
    ids: list[int]
    vectors: np.ndarray

    @property
    def group(self) -> int:
        return self.ids[0] // ROWS


def batch(number: int) -> Batch:
    """Batch `number`, from 1."""
    delete = number > GROUPS and number % 7 == 0
    first = number % GROUPS * ROWS
    vectors = np.zeros((ROWS, DIMENSION), np.float32)
    vectors[:, 0] = number
    vectors[:, 1] = np.arange(ROWS)
    vectors[:, 2:] = np.linspace(0.1, 1.0, DIMENSION - 2)
    return Batch(number, delete, list(range(first, first + ROWS)), vectors)


def found_in(rows: dict[int, np.ndarray]) -> Found:
    """What a database holds: id → vector, as groups of stamps; ValueError for a vector that nobody wrote."""
    found: Found = {}
    for name, vector in rows.items():
        group, place = divmod(int(name), ROWS)
        stamp = int(vector[0])
        expected = batch(stamp).vectors[place] if 0 < stamp < 100_000 else None
        if expected is None or stamp % GROUPS != group or not np.array_equal(expected, np.asarray(vector, np.float32)):
            raise ValueError(f"row {name} has a vector that nobody wrote")
        found.setdefault(group, []).append(stamp)
    return found


@dataclass
class Promise:
    """What was acknowledged, group by group."""

    stamps: dict[int, int] = field(default_factory=dict)

    def acknowledge(self, number: int) -> None:
        made = batch(number)
        self.stamps[made.group] = DELETED if made.delete else number

    def settle(self, found: Found) -> None:
        """Go on from what is there."""
        self.stamps = {group: max(stamps) for group, stamps in found.items()}

    def broken(self, found: Found, unsure: Iterable[int]) -> Counter[str]:
        """What is wrong with what was found, if the `unsure` batches may be there or not."""
        problems: Counter[str] = Counter()
        allowed = {group: {self.stamps.get(group, DELETED)} for group in range(GROUPS)}
        for number in unsure:
            made = batch(number)
            allowed[made.group].add(DELETED if made.delete else number)
        for group, stamps in allowed.items():
            there = found.get(group, [])
            if not there:
                problems["acknowledged batches lost"] += DELETED not in stamps
            elif len(set(there)) > 1 or len(there) != ROWS:
                problems["batches half there"] += 1
            elif there[0] not in stamps:
                problems["deletes undone" if stamps == {DELETED} else "acknowledged batches lost"] += 1
        return +problems
