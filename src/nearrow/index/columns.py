"""Columns: which lists hold a marked element, and how often does each number occur? Loops that NumPy has none for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from nearrow import _kernel

Bits = npt.NDArray[np.uint8]
Offsets = tuple[Any, int, int, bool]
"""Positions: the buffer, the first row, the number of rows, whether they are 8 bytes wide."""
NO_OFFSETS = bytes(8)
Numbers = npt.NDArray[np.int32] | npt.NDArray[np.uint8]


def match_lists(lists: pa.Array, marks: Bits, first: int, elements: int, *, every: bool) -> Bits:
    """Packed bits of a list or large_list array: some element (or every one) is marked; any where the list is null.

    marks: a bit for each of `elements` elements from position `first` of the lists' values on.
    """
    return _kernel.match_lists(*positions_of(lists), marks, first, elements, every)


def positions_of(column: pa.Array) -> Offsets:
    """Where the offsets of an array of strings or lists lie. Of an empty one there may be no buffer."""
    wide = pt.is_large_string(column.type) or pt.is_large_list(column.type) or pt.is_large_binary(column.type)
    offsets = column.buffers()[1]
    return (
        (NO_OFFSETS, 0, 0, wide) if offsets is None or len(column) == 0 else (offsets, column.offset, len(column), wide)
    )


def in_order(chunks: Sequence[Offsets]) -> bool:
    """Whether the rows + 1 positions of each chunk begin at 0 or later and never go back. REQUIRES: there are so many."""
    return _kernel.in_order(chunks)


def count(bits: Bits) -> int:
    """How many bits are set."""
    return _kernel.count_bits(bits)


def lists_marked(marks: Bits, starts: npt.NDArray[np.int32], *, every: bool) -> Bits:
    """The rows of which an element is marked, or every one, as packed bits.

    starts: where each row's elements begin, and the end.
    """
    return _kernel.match_lists(starts, 0, len(starts) - 1, False, marks, 0, int(starts[-1]), every)


def marked(numbers: Numbers, marks: npt.NDArray[np.bool_]) -> Bits:
    """Packed bits of whether each number is marked. REQUIRES: every number has a mark."""
    if 2 * int(marks.sum()) <= len(marks):
        return _kernel.marked(numbers, marks.view(np.uint8))
    bits = np.invert(_kernel.marked(numbers, np.logical_not(marks).view(np.uint8)))
    if len(numbers) % 8:
        bits[-1] &= (1 << len(numbers) % 8) - 1
    return bits


def once_each(numbers: Numbers, places: npt.NDArray[np.int64], distinct: int) -> tuple[Numbers, npt.NDArray[np.int32]]:
    """(each different number of a row once, where those of each row begin). places: int64[rows + 1], as those now."""
    return _kernel.once_each(numbers, places, distinct)


def tally(
    numbers: Numbers,
    starts: npt.NDArray[np.int32] | None,
    wanted: Bits | None,
    rows: int,
    distinct: int,
) -> npt.NDArray[np.int64]:
    """How often each of the numbers 0 … distinct - 1 occurs among the wanted rows (packed bits; None: all of them).

    starts: int32[rows + 1], where each row's numbers begin; None: row i has number i.
    """
    return _kernel.tally(numbers, starts, wanted, rows, distinct)
