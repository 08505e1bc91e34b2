"""Strings: which rows of a string column hold one of a few strings, or have a text in them?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearrow import _kernel
from nearrow.index.columns import Bits, positions_of

Place = Literal["begin", "end", "anywhere"]
PLACES: dict[Place, int] = {"begin": 0, "end": 1, "anywhere": 2}


class Strings:
    """Strings that are looked for in columns, by any thread. Offsets that point outside of the data match nothing."""

    __slots__ = ("_wanted",)

    def __init__(self, wanted: _kernel.StringSet | _kernel.StringPattern) -> None:
        self._wanted = wanted

    def match(self, *columns: pa.Array) -> list[Bits]:
        """For each string or large_string array its packed bits, least significant first; any where it is null."""
        return _cut(self._wanted.match([_chunk_of(column) for column in columns]), columns)

    def match_in_lists(self, *columns: pa.Array, every: bool) -> list[Bits]:
        """For each list or large_list array of strings the lists with a string that is looked for, or with no other.

        Any where the list is null. REQUIRES: no string is null.
        """
        chunks = [(positions_of(column), _chunk_of(column.values)) for column in columns]
        return _cut(self._wanted.match_in_lists(chunks, every), columns)


class StringSet(Strings):
    """A set of strings, made once."""

    __slots__ = ("_size",)

    def __init__(self, values: pa.StringArray) -> None:
        """REQUIRES: no nulls among the values."""
        _, offsets, data = values.buffers()
        wanted = _kernel.string_set(offsets or b"\0\0\0\0", data, values.offset, len(values))
        super().__init__(wanted)
        self._size = len(wanted)

    def __len__(self) -> int:
        return self._size


class StringPattern(Strings):
    """A text that strings begin with, end with, or have anywhere in them."""

    __slots__ = ()

    def __init__(self, text: str, place: Place) -> None:
        super().__init__(_kernel.string_pattern(text.encode(), PLACES[place]))


def _chunk_of(column: pa.Array) -> _kernel.StringChunk:
    valid, _, data = column.buffers()
    return positions_of(column), data, None if column.null_count == 0 else valid


def _cut(bits: Bits, columns: Sequence[pa.Array]) -> list[Bits]:
    """The bits of each column, which begin with a byte of their own."""
    ends = list(accumulate((len(column) + 7) // 8 for column in columns))
    return [bits[first:last] for first, last in pairwise([0, *ends])]


def number_strings(
    columns: Sequence[pa.Array], values_max: int | None = None
) -> tuple[npt.NDArray[np.int32] | npt.NDArray[np.uint8], pa.StringArray] | None:
    """(the number of each string, the different strings) of string arrays, one after the other.

    A number is 0 for null, else 1 + a position among the different strings: a byte each if they are fewer than 256.
    None if they are more than values_max.
    """
    numbering = _kernel.StringNumbers(2**31 if values_max is None else values_max)
    numbers = numbering.number([_chunk_of(column) for column in columns])
    if numbers is None:
        return None
    data, starts = numbering.values()
    values = pa.LargeStringArray.from_buffers(len(starts) - 1, pa.py_buffer(starts), pa.py_buffer(data))
    return numbers, values.cast(pa.string())


def are_few(column: pa.Array, values_max: int) -> bool:
    """Whether a string array has no more different values."""
    return _kernel.StringNumbers(values_max).number([_chunk_of(column)]) is not None
