"""Strings: which rows of a string column hold one of a few strings, or have a text in them?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

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


def number_strings(
    columns: Sequence[pa.Array], values_max: int | None = None
) -> tuple[npt.NDArray[np.int32] | npt.NDArray[np.uint8], pa.StringArray] | None:
    """(the number of each string, the different strings) of string arrays, one after the other.

    A number is 0 for null, else 1 + a position among the different strings: a byte each if they are fewer than 256.
    None if they are more than values_max.
    """
    numbering = _kernel.StringNumbers(2**31 if values_max is None else values_max)
    numbers: list[npt.NDArray[Any]] = [np.empty(0, np.uint8)]
    for column in columns:
        if len(column) == 0:
            continue
        valid, offsets, data = column.buffers()
        wide = pt.is_large_string(column.type)
        if column.null_count == 0:
            valid = None
        found = numbering.number(offsets, data, valid, column.offset, len(column), wide)
        if found is None:
            return None
        numbers.append(found)
    data, starts = numbering.values()
    values = pa.LargeStringArray.from_buffers(len(starts) - 1, pa.py_buffer(starts), pa.py_buffer(data))
    return numbers[1] if len(numbers) == 2 else np.concatenate(numbers), values.cast(pa.string())
