"""Log format: what do the bytes of log/<seq>.log mean?

A 64-byte file header, then frames; all numbers little-endian; see docs/formats/log.md. Each frame carries the checksum
of the one before it (the chain begins with the file header's), its own LSN and epoch, and the LSN that was durable when
it was written. A frame that checks is therefore exactly what was written, at exactly this place of the history.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import xxhash
from google_crc32c import value as crc32c

LOG_FOLDER = "log"
LOG_VERSION = 1
FILE_MAGIC = b"NEARLOG\n"
# magic, version, features, seq, epoch, first_lsn, previous_bytes, previous_chain, owner, crc
FILE_HEADER = struct.Struct("<8sIIQQQQIQI")
FRAME_MAGIC = 0x4D52464E  # "NFRM"
FRAME_HEADER = struct.Struct("<IIIIQQQ")  # magic crc length previous_chain lsn epoch durable_lsn
FRAME_TAIL = struct.Struct("<IIQQQ")  # the part of the frame header that the checksum covers
FRAME_START = struct.Struct("<II")
ALIGNMENT = 8  # frames begin at multiples of this, as Arrow wants its buffers
PAYLOAD_BYTES_MAX = 2**31 - 1
LSN_MAX = 2**48 - 1  # what the watermark can say

_NAME = re.compile(r"(\d{1,18})\.log")
_CANDIDATES_MAX = 4096


class FileHeader(NamedTuple):
    """The header of one log. The log before it is valid for exactly `previous_bytes`, ending with `previous_chain`."""

    seq: int
    epoch: int
    first_lsn: int
    previous_bytes: int
    previous_chain: int
    chain: int  # this header's own checksum: where the chain of its frames begins
    version: int
    features: int
    owner: int = 0  # whose log it is, see `owner_of`; 0: does not say


class Frame(NamedTuple):
    """One record as found in a mapped log."""

    lsn: int
    durable_lsn: int
    chain: int
    start: int
    length: int
    end: int

    def payload(self, log: pa.Buffer) -> pa.Buffer:
        return log.slice(self.start + FRAME_HEADER.size, self.length)


def log_name(seq: int) -> str:
    return f"{LOG_FOLDER}/{seq:08d}.log"


def log_seq(file_name: str) -> int | None:
    """The number of a log by its name within the folder, or None if it is no log."""
    match = _NAME.fullmatch(file_name)
    return int(match[1]) if match else None


def owner_of(uuid: str) -> int:
    """How a log says which collection it belongs to."""
    return xxhash.xxh3_64_intdigest(uuid.encode())


def encode_header(
    seq: int, epoch: int, first_lsn: int, previous_bytes: int, previous_chain: int, owner: int = 0
) -> bytes:
    fields = (FILE_MAGIC, LOG_VERSION, 0, seq, epoch, first_lsn, previous_bytes, previous_chain, owner)
    unsigned = FILE_HEADER.pack(*fields, 0)
    crc: int = crc32c(unsigned[:-4])
    return unsigned[:-4] + crc.to_bytes(4, "little")


def decode_header(log: pa.Buffer) -> FileHeader | None:
    """The header, or None if a byte of it is wrong."""
    if log.size < FILE_HEADER.size:
        return None
    data = log.slice(0, FILE_HEADER.size).to_pybytes()
    magic, version, features, seq, epoch, first, previous_bytes, previous_chain, owner, crc = FILE_HEADER.unpack(data)
    if magic != FILE_MAGIC or crc != crc32c(data[:-4]):
        return None
    return FileHeader(seq, epoch, first, previous_bytes, previous_chain, crc, version, features, owner)


def padding(length: int) -> int:
    return -length % ALIGNMENT


def frame_at(log: pa.Buffer, offset: int, limit: int, epoch: int) -> tuple[Frame, int] | None:
    """The frame at `offset` that ends by `limit`, with the chain value it follows; None if there is no whole one."""
    if limit - offset < FRAME_HEADER.size:
        return None
    magic, crc, length, previous, lsn, frame_epoch, durable = FRAME_HEADER.unpack_from(log, offset)
    end = offset + FRAME_HEADER.size + length + padding(length)
    if magic != FRAME_MAGIC or frame_epoch != epoch or length > PAYLOAD_BYTES_MAX or end > limit:
        return None
    if crc32c(log.slice(offset + FRAME_START.size, end - offset - FRAME_START.size)) != crc:
        return None
    return Frame(lsn, durable, crc, offset, length, end), previous


def frames(log: pa.Buffer, header: FileHeader, *, offset: int, lsn: int, chain: int, limit: int) -> Iterator[Frame]:
    """The valid frames from `offset` on, following record `lsn` and chain value `chain`; stops at the first damage."""
    while (found := frame_at(log, offset, limit, header.epoch)) is not None:
        frame, previous = found
        if previous != chain or frame.lsn != lsn + 1:
            return
        yield frame
        offset, lsn, chain = frame.end, frame.lsn, frame.chain


def durable_after_damage(log: pa.Buffer, header: FileHeader, offset: int, lsn: int) -> int:
    """The highest durable LSN that whole frames beyond the damage at `offset` vouch for; `lsn` if there are none.

    A whole frame alone proves nothing (unsynced pages reach the disk in any order): what it says was durable does.
    """
    usable = (log.size - offset) // 4 * 4
    if usable < FRAME_HEADER.size:
        return lsn
    words = np.frombuffer(log, dtype="<u4", count=usable // 4, offset=offset)[:: ALIGNMENT // 4]
    proven = lsn
    budget = 4 * log.size  # bytes to checksum: hostile payloads full of false frames must not take for ever
    for index in np.flatnonzero(words == FRAME_MAGIC)[:_CANDIDATES_MAX]:
        start = offset + int(index) * ALIGNMENT
        if log.size - start < FRAME_HEADER.size or budget < 0:
            break
        _, _, length, _, frame_lsn, _, durable = FRAME_HEADER.unpack_from(log, start)
        if not lsn < frame_lsn <= LSN_MAX or not proven < durable < frame_lsn:
            continue
        budget -= length
        if frame_at(log, start, log.size, header.epoch) is not None:
            proven = durable
    return proven


def used_bytes(log: pa.Buffer, offset: int) -> int:
    """How many bytes from `offset` on are not mere preallocated zeros at the end."""
    rest = np.frombuffer(log, dtype=np.uint8)[offset:]
    used = np.flatnonzero(rest)
    return int(used[-1]) + 1 if used.size else 0
