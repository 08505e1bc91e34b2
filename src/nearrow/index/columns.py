"""Columns: which lists hold a marked element, and how often does each number occur? Loops that NumPy has none for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from nearrow import _kernel

Bits = npt.NDArray[np.uint8]


def match_lists(lists: pa.Array, marks: Bits, first: int, elements: int, *, every: bool) -> Bits:
    """Packed bits of a list or large_list array: some element (or every one) is marked; any where the list is null.

    marks: a bit for each of `elements` elements from position `first` of the lists' values on.
    """
    if len(lists) == 0:
        return np.zeros(0, np.uint8)
    wide = pt.is_large_list(lists.type)
    return _kernel.match_lists(lists.buffers()[1], lists.offset, len(lists), wide, marks, first, elements, every)


def tally(
    numbers: npt.NDArray[np.int32], starts: npt.NDArray[np.int32] | None, wanted: Bits | None, rows: int, distinct: int
) -> npt.NDArray[np.int64]:
    """How often each of the numbers 0 … distinct - 1 occurs among the wanted rows (packed bits; None: all of them).

    starts: int32[rows + 1], where each row's numbers begin; None: row i has number i.
    """
    return _kernel.tally(numbers, starts, wanted, rows, distinct)
