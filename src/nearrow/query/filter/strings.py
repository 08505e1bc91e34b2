"""Strings: which rows hold exactly this text, in as little time as the memory allows?

Arrow's own comparison looks at every string. Most strings differ in length already, and lengths are differences of
neighbouring offsets: a pass over 4 bytes a row leaves few candidates, and their first and last 8 bytes (read as
integers, without touching Python) decide nearly all of those.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from nearrow.query.filter.bits import Bits, none_of, of_arrow, pack, where_valid

CANDIDATES_MAX = 1 / 3  # above this share of rows Arrow's comparison of all is quicker


def equal_to(array: pa.Array, value: str) -> Bits:
    """Where a string array equals `value`."""
    rows, text = len(array), value.encode()
    if rows == 0 or not pt.is_string(array.type):
        return of_arrow(pc.equal(array, value)) if rows else none_of(0)
    offsets = np.frombuffer(array.buffers()[1], dtype=np.int32)[array.offset : array.offset + rows + 1]
    fitting = (offsets[1:] - offsets[:-1]) == len(text)
    candidates = np.flatnonzero(fitting)
    data = array.buffers()[2]
    if not text or not len(candidates):
        return where_valid(pack(fitting), array)
    if len(candidates) == rows and 8 <= len(text) <= 16:
        return where_valid(_ends_of_column(data, int(offsets[0]), rows, text), array)
    if len(candidates) > rows * CANDIDATES_MAX or data.size < 8 or offsets[candidates[0]] + len(text) < 8:
        return of_arrow(pc.equal(array, value))
    candidates = _ends_agree(data, offsets[candidates], text, candidates)
    if len(text) > 16:
        taken = array.take(pa.array(candidates))
        candidates = candidates[pc.equal(taken, value).fill_null(False).to_numpy(zero_copy_only=False)]
    flags = np.zeros(rows, dtype=bool)
    flags[candidates] = True
    return where_valid(pack(flags), array)


def _ends_of_column(data: pa.Buffer, first: int, rows: int, text: bytes) -> Bits:
    """All strings have the length of `text`, 8 to 16 bytes (ids often do): the column is a matrix, compared by strides."""

    def agree(at: int, part: bytes) -> npt.NDArray[np.bool_]:
        words = np.ndarray((rows,), dtype="<u8", buffer=data, offset=first + at, strides=(len(text),))
        flags: npt.NDArray[np.bool_] = words == np.uint64(int.from_bytes(part, "little"))
        return flags

    flags = agree(len(text) - 8, text[-8:])
    return pack(flags & agree(0, text[:8]) if len(text) > 8 and flags.any() else flags)


def _ends_agree(
    data: pa.Buffer, starts: npt.NDArray[np.int32], text: bytes, candidates: npt.NDArray[np.intp]
) -> npt.NDArray[np.intp]:
    """The candidates whose last (and, if longer than 8 bytes, first) 8 bytes are those of `text`.

    REQUIRES: every candidate ends at least 8 bytes into `data`. Shorter texts are read with what lies before them, and
    the surplus is shifted out.
    """
    words = np.ndarray((data.size - 7,), dtype="<u8", buffer=data, strides=(1,))
    ends = starts.astype(np.int64) + (len(text) - 8)
    surplus = np.uint64(8 * max(0, 8 - len(text)))
    agree = (words[ends] >> surplus) == np.uint64(int.from_bytes(text[-8:], "little"))
    candidates, starts = candidates[agree], starts[agree]
    if len(text) > 8:
        candidates = candidates[words[starts] == np.uint64(int.from_bytes(text[:8], "little"))]
    return candidates
