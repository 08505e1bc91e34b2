"""Ranked: which rows were found, and in which order?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nearrow.segment.rows import Positions
from nearrow.segment.view import View


@dataclass(frozen=True)
class Ranked:
    """Rows, best first: part, position in it, distance, score, and further arrays by name, all of one length.

    key: ascending in the order of the rows: the distance, or the negative score.
    exhausted: no further row would be found by looking deeper.
    """

    owner: npt.NDArray[np.int32]
    position: Positions
    distance: npt.NDArray[np.float32]
    score: npt.NDArray[np.float32]
    key: npt.NDArray[np.float64]
    parts: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    exhausted: bool = False

    def __len__(self) -> int:
        return len(self.owner)

    def pick(self, order: npt.NDArray[np.intp] | slice) -> Ranked:
        """Those rows, in that order."""
        return Ranked(
            self.owner[order],
            self.position[order],
            self.distance[order],
            self.score[order],
            self.key[order],
            {name: values[order] for name, values in self.parts.items()},
            self.exhausted,
        )

    def row_numbers(self, view: View) -> npt.NDArray[np.uint64]:
        return view.row_numbers_at(self.owner, self.position)


NOTHING = Ranked(
    np.empty(0, np.int32),
    np.empty(0, np.int64),
    np.empty(0, np.float32),
    np.empty(0, np.float32),
    np.empty(0, np.float64),
    exhausted=True,
)
