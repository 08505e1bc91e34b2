"""Cursor: where does the next page begin?"""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearrow.errors import InvalidArgumentError
from nearrow.query.ranked import Ranked
from nearrow.segment.view import View

_PACKED = struct.Struct("<dQQ")


@dataclass(frozen=True)
class Cursor:
    """Just behind one row of an answer: its sort key and row number, and how many rows came before and with it."""

    key: float
    row_number: int
    seen: int

    def __str__(self) -> str:
        return base64.urlsafe_b64encode(_PACKED.pack(self.key, self.row_number, self.seen)).decode("ascii")

    @classmethod
    def parse(cls, text: object) -> Cursor:
        """The inverse of str(); InvalidArgumentError for anything else."""
        try:
            if not isinstance(text, str):
                raise TypeError(f"it is a {type(text).__name__}")
            return cls(*_PACKED.unpack(base64.urlsafe_b64decode(text.encode("ascii"))))
        except (TypeError, ValueError, struct.error, binascii.Error) as error:
            raise InvalidArgumentError(f"after= takes the cursor of an earlier answer (hits.cursor): {error}") from None

    @classmethod
    def behind(cls, ranked: Ranked, view: View, before: Cursor | None) -> str | None:
        """The cursor of an answer as text; None if it has no rows."""
        if len(ranked) == 0:
            return None
        last = ranked.pick(slice(len(ranked) - 1, None))
        seen = len(ranked) + (before.seen if before is not None else 0)
        return str(cls(float(last.key[0]), int(last.row_numbers(view)[0]), seen))

    @classmethod
    def behind_nearest(
        cls,
        owner: npt.NDArray[np.int32],
        position: npt.NDArray[np.int64],
        distance: npt.NDArray[np.float32],
        view: View,
    ) -> str | None:
        """The same for the nearest rows, which are sorted by distance."""
        if len(distance) == 0:
            return None
        row_number = int(view.row_numbers_at(owner[-1:], position[-1:])[0])
        return str(cls(float(distance[-1]), row_number, len(distance)))

    def rest(self, ranked: Ranked, view: View) -> Ranked:
        """Those rows of `ranked` that lie behind this cursor."""
        later = ranked.key > self.key
        ties = np.flatnonzero(ranked.key == self.key)
        if len(ties):
            later[ties] = ranked.pick(ties).row_numbers(view) > self.row_number
        return ranked.pick(np.flatnonzero(later))
