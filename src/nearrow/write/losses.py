"""Losses: which rows are really gone with a damaged file?

Those that could not be read, but not the ones that the log says were deleted or replaced since: nobody misses them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from nearrow.index.ids import Positions
from nearrow.segment.format import ROWS_FILE
from nearrow.storage.manifest import SegmentEntry
from nearrow.write.record import RowNumbers
from nearrow.write.report import Lost
from nearrow.write.state import State


@dataclass(frozen=True)
class Missing:
    """Rows of a segment that were alive at the manifest, as far as is known, and cannot be read."""

    entry: SegmentEntry
    positions: Positions
    ids: Sequence[str | int]

    @property
    def rows(self) -> int:
        """How many they are at most: of a damaged bitmap the manifest still knows the count."""
        dead = self.entry.dead.count if self.entry.dead is not None else 0
        return min(len(self.positions), self.entry.rows - dead)

    @property
    def gapless(self) -> bool:
        """Whether a row's number follows from its position."""
        return self.entry.max_row - self.entry.min_row + 1 == self.entry.rows


def losses(missing: Sequence[Missing], died: RowNumbers, state: State) -> tuple[Lost, ...]:
    """What to tell of them. `died`: the row numbers that the log's records killed; `state`: all that was saved."""
    died = np.unique(died)
    for part in state.segments:
        died = died[part.locate(died) < 0]
    died = died[state.active.locate(died) < 0]
    told: list[Lost] = []
    for one in sorted(missing, key=lambda one: not one.gapless):
        here = (died >= one.entry.min_row) & (died <= one.entry.max_row)
        positions = one.positions
        if one.gapless:
            positions = positions[~np.isin(positions, died[here].astype(np.int64) - one.entry.min_row)]
            rows = one.rows - (len(one.positions) - len(positions))
        else:
            rows = one.rows - int(here.sum())
        died = died[~here]
        if rows > 0:
            told.append(Lost(one.entry.path(ROWS_FILE), rows, _not_replaced(one.ids, state), _runs(positions)))
    return tuple(sorted(told, key=lambda lost: lost.file))


def _not_replaced(ids: Sequence[str | int], state: State) -> tuple[str | int, ...]:
    if not ids:
        return ()
    return tuple(np.array(ids, object)[~state.find(pa.array(ids))[1]].tolist())


def _runs(positions: Positions) -> tuple[tuple[int, int], ...]:
    """The first and last of each run of positions that follow one another."""
    breaks = np.flatnonzero(np.diff(positions) > 1)
    first = positions[np.concatenate([[0], breaks + 1]).astype(np.int64)] if len(positions) else positions
    last = positions[np.concatenate([breaks, [len(positions) - 1]]).astype(np.int64)] if len(positions) else positions
    return tuple(zip(first.tolist(), last.tolist(), strict=True))
