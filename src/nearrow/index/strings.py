"""Strings: which rows of a string column hold one of a few strings, or have a text in them?"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from nearrow import _kernel

Place = Literal["begin", "end", "anywhere"]
PLACES: dict[Place, int] = {"begin": 0, "end": 1, "anywhere": 2}


class StringSet:
    """A set of strings, made once and matched against any number of columns; any thread may use it."""

    __slots__ = ("_set",)

    def __init__(self, values: pa.StringArray) -> None:
        """REQUIRES: no nulls among the values."""
        _, offsets, data = values.buffers()
        self._set = _kernel.string_set(offsets or b"\0\0\0\0", data, values.offset, len(values))

    def __len__(self) -> int:
        return len(self._set)

    def match(self, column: pa.Array) -> npt.NDArray[np.uint8]:
        """Packed bits, least significant first, of a string or large_string array; any where the column is null.

        Offsets that point outside of the data match nothing.
        """
        if len(column) == 0:
            return np.zeros(0, np.uint8)
        _, offsets, data = column.buffers()
        return self._set.match(offsets, data, column.offset, len(column), pt.is_large_string(column.type))


class StringPattern:
    """A text that strings begin with, end with, or have anywhere in them; any thread may match it."""

    __slots__ = ("_pattern",)

    def __init__(self, text: str, place: Place) -> None:
        self._pattern = _kernel.string_pattern(text.encode(), PLACES[place])

    def match(self, column: pa.Array) -> npt.NDArray[np.uint8]:
        """As StringSet.match."""
        if len(column) == 0:
            return np.zeros(0, np.uint8)
        _, offsets, data = column.buffers()
        return self._pattern.match(offsets, data, column.offset, len(column), pt.is_large_string(column.type))
