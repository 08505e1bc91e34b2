"""Deletes: which rows of a segment are dead?

An immutable bitmap beside the immutable rows. A delete makes a new one (`with_dead`); views keep the one that they
began with. In memory the bits say *alive*, which is what the kernel takes; in the file, written in one piece for each
version, they say *dead*. Format: docs/formats/segment.md.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

import google_crc32c
import numpy as np
import numpy.typing as npt

from nearrow.errors import CorruptionError, IncompatibleFormatError, InvalidArgumentError

Bits = npt.NDArray[np.uint8]

MAGIC = b"NRDEAD\r\n"
VERSION = 1
_HEADER = struct.Struct("<8sIIQQ")  # magic, version, CRC32C of everything else, rows, dead rows
_CHECKED_FROM = 16  # the checksum covers the bytes from here on, and the version


class DeadRows:
    """Which of `rows` positions are dead. Immutable, so it may be shared by threads and views."""

    __slots__ = ("_alive", "count", "rows")

    rows: int
    count: int

    def __init__(self, rows: int, alive: Bits | None, count: int) -> None:
        """Use `DeadRows.none`, `with_dead` or `from_bytes`. REQUIRES: `alive` has `rows - count` bits set, none beyond."""
        if alive is not None:
            alive.flags.writeable = False
        self.rows = rows
        self.count = count
        self._alive = alive

    @classmethod
    def none(cls, rows: int) -> DeadRows:
        """All rows are alive; takes no memory."""
        return cls(rows, None, 0)

    @property
    def alive(self) -> Bits | None:
        """Packed bitmap of the alive rows in Arrow's order, uint8 [ceil(rows / 8)], read-only; None when all are alive."""
        return self._alive

    @property
    def alive_count(self) -> int:
        return self.rows - self.count

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DeadRows):
            return NotImplemented
        return self.rows == other.rows and self.count == other.count and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash((self.rows, self.count))

    def __repr__(self) -> str:
        return f"DeadRows({self.count} of {self.rows})"

    def with_dead(self, positions: npt.ArrayLike | Iterable[int]) -> DeadRows:
        """A new bitmap in which these rows are dead too; repeated and already dead positions are fine."""
        dead = np.atleast_1d(np.asarray(positions, dtype=np.int64))
        if len(dead) == 0:
            return self
        if int(dead.min()) < 0 or int(dead.max()) >= self.rows:
            raise InvalidArgumentError(f"positions {dead.min()}..{dead.max()} are not all within {self.rows} rows")
        alive = _all_alive(self.rows) if self._alive is None else self._alive.copy()
        if len(dead) == 1:
            byte, bit = int(dead[0]) >> 3, 1 << (int(dead[0]) & 7)
            if not alive[byte] & bit:
                return self
            alive[byte] &= 0xFF ^ bit
            return DeadRows(self.rows, alive, self.count + 1)
        touched = np.unique(dead >> 3)
        before = int(np.bitwise_count(alive[touched]).sum())
        np.bitwise_and.at(alive, dead >> 3, np.uint8(0xFF) ^ (np.uint8(1) << (dead & 7).astype(np.uint8)))
        died = before - int(np.bitwise_count(alive[touched]).sum())
        return DeadRows(self.rows, alive, self.count + died) if died else self

    def is_dead(self, position: int) -> bool:
        """Whether the row at this position is dead."""
        if not 0 <= position < self.rows:
            raise InvalidArgumentError(f"position {position} is not within {self.rows} rows")
        return self._alive is not None and not (int(self._alive[position >> 3]) >> (position & 7)) & 1

    def are_dead(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which of these positions, all within the rows, are dead: bool [len(positions)]."""
        if self._alive is None:
            return np.zeros(len(positions), np.bool_)
        dead: npt.NDArray[np.bool_] = (self._alive[positions >> 3] >> (positions & 7).astype(np.uint8)) & 1 == 0
        return dead

    def positions(self) -> npt.NDArray[np.int64]:
        """The dead positions, ascending."""
        if self._alive is None:
            return np.empty(0, np.int64)
        return np.flatnonzero(np.unpackbits(self._alive, count=self.rows, bitorder="little") == 0).astype(np.int64)

    def alive_positions(self) -> npt.NDArray[np.int64]:
        """The alive positions, ascending."""
        if self._alive is None:
            return np.arange(self.rows, dtype=np.int64)
        return np.flatnonzero(np.unpackbits(self._alive, count=self.rows, bitorder="little")).astype(np.int64)

    def to_bytes(self) -> bytes:
        """The content of a deletes-<v> file."""
        everyone = _all_alive(self.rows)
        dead = (everyone ^ (everyone if self._alive is None else self._alive)).tobytes()
        header = _HEADER.pack(MAGIC, VERSION, 0, self.rows, self.count)
        return _HEADER.pack(MAGIC, VERSION, _checksum(header, dead), self.rows, self.count) + dead

    @classmethod
    def from_bytes(cls, data: bytes, *, rows: int, name: str) -> DeadRows:
        """Read a deletes-<v> file of a segment with `rows` rows; CorruptionError naming the file if anything is off."""
        if len(data) < _HEADER.size:
            raise CorruptionError(f"{name}: {len(data)} bytes are less than its header; {_ADVICE}")
        magic, version, checksum, stored_rows, count = _HEADER.unpack_from(data)
        if magic != MAGIC:
            raise CorruptionError(f"{name}: not a bitmap of dead rows (magic number); {_ADVICE}")
        bits = data[_HEADER.size :]
        if checksum != _checksum(data[: _HEADER.size], bits):
            raise CorruptionError(f"{name}: checksum mismatch; {_ADVICE}")
        if version != VERSION:
            raise IncompatibleFormatError(f"{name}: version {version}, this Nearrow reads {VERSION}; upgrade Nearrow")
        if stored_rows != rows or len(bits) != (rows + 7) // 8:
            raise CorruptionError(f"{name}: made for {stored_rows} rows, the segment has {rows}; {_ADVICE}")
        everyone = _all_alive(rows)
        alive = everyone ^ np.frombuffer(bits, np.uint8)
        if bool((alive & ~everyone).any()) or int(np.bitwise_count(alive).sum()) != rows - count:
            raise CorruptionError(f"{name}: the bitmap does not hold {count} dead rows; {_ADVICE}")
        return cls(rows, alive, count) if count else cls.none(rows)


_ADVICE = "run check(), then restore a snapshot"


def _checksum(header: bytes, bits: bytes) -> int:
    checked = header[8:12] + header[_CHECKED_FROM:] + bits
    return int(google_crc32c.value(checked))


def _all_alive(rows: int) -> Bits:
    bits = np.full((rows + 7) // 8, 0xFF, np.uint8)
    if rows % 8:
        bits[-1] = (1 << rows % 8) - 1
    return bits
