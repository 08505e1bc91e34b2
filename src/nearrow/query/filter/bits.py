"""Bits: how are sets of rows held? As packed bits, least significant first, the order of Arrow's validity bitmaps.

Bits past the last row are always zero, so that counting and combining need no care.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearrow.index.columns import count as count_bits

Bits = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]


def size_of(rows: int) -> int:
    return (rows + 7) // 8


def none_of(rows: int) -> Bits:
    return np.zeros(size_of(rows), dtype=np.uint8)


def all_of(rows: int) -> Bits:
    return clear_tail(np.full(size_of(rows), 255, dtype=np.uint8), rows)


def clear_tail(bits: Bits, rows: int) -> Bits:
    """Zero the bits past `rows`, in place."""
    if rows % 8:
        bits[-1] &= (1 << (rows % 8)) - 1
    return bits


def inverted(bits: Bits, rows: int) -> Bits:
    return clear_tail(np.invert(bits), rows)


def pack(flags: npt.NDArray[Any]) -> Bits:
    return np.packbits(flags, bitorder="little")


def unpack(bits: Bits, rows: int) -> Flags:
    return np.unpackbits(bits, count=rows, bitorder="little").view(np.bool_)


def count(bits: Bits) -> int:
    return count_bits(bits)


def concatenated(pieces: Sequence[tuple[Bits, int]]) -> Bits:
    """The bits of consecutive pieces (bits, rows) as one; a byte copy if all but the last divide by 8."""
    if len(pieces) == 1:
        return pieces[0][0]
    if all(rows % 8 == 0 for _, rows in pieces[:-1]):
        return np.concatenate([bits for bits, _ in pieces]) if pieces else none_of(0)
    return pack(np.concatenate([unpack(bits, rows) for bits, rows in pieces]))


def of_buffer(buffer: pa.Buffer, offset: int, rows: int) -> Bits:
    """A copy of `rows` bits of an Arrow bitmap that start at bit `offset`."""
    if rows == 0:
        return none_of(0)
    whole = np.frombuffer(buffer, dtype=np.uint8)[offset // 8 : size_of(offset + rows)]
    if offset % 8 == 0:
        return clear_tail(whole.copy(), rows)
    return pack(np.unpackbits(whole, bitorder="little")[offset % 8 : offset % 8 + rows])


def validity(array: pa.Array) -> Bits | None:
    """Where `array` is not null; None if it has no nulls."""
    if pa.types.is_null(array.type):
        return none_of(len(array))
    buffer = array.buffers()[0]
    return None if buffer is None or array.null_count == 0 else of_buffer(buffer, array.offset, len(array))


def of_arrow(array: pa.BooleanArray | pa.ChunkedArray) -> Bits:
    """Where a boolean array is true; null is false."""
    if isinstance(array, pa.ChunkedArray):
        return concatenated([(of_arrow(chunk), len(chunk)) for chunk in array.chunks] or [(none_of(0), 0)])
    if pa.types.is_null(array.type):
        return none_of(len(array))
    return where_valid(of_buffer(array.buffers()[1], array.offset, len(array)), array)


def where_valid(bits: Bits, array: pa.Array) -> Bits:
    """`bits` without the rows where `array` is null, in place."""
    valid = validity(array)
    if valid is not None:
        bits &= valid
    return bits
