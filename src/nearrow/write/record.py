"""Record: what does one log record say?

A record is one atomic unit: the rows that died and the rows that came, as row numbers and Arrow batches. Ids were
resolved when it was written, so replay is arithmetic and cannot come to another result.

    record    = u32 magic, u32 operation count, operation…
    operation = u8 kind, 7 zero bytes, u64 length, payload, zero bytes up to a multiple of 8

    kind 1 schema   payload = Arrow IPC schema message: the columns of the `put`s that follow, in this log file
    kind 2 dead     payload = u64 row numbers
    kind 3 put      payload = u64 first row number, Arrow IPC record batch message
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearrow.errors import CorruptionError

MAGIC = 0x3152_574E  # "NWR1"
SCHEMA, DEAD, PUT = 1, 2, 3
_HEAD = struct.Struct("<II")
_OPERATION = struct.Struct("<B7xQ")
_FIRST_ROW = struct.Struct("<Q")
_ZEROS = bytes(8)

RowNumbers = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Put:
    """Rows that came: `batch` has the stored columns without `_row`; its rows are first_row, first_row + 1, …

    `message` is the batch as it stands in the log, and `batch` a view of it: never of memory that a caller could change.
    """

    first_row: int
    batch: pa.RecordBatch
    message: pa.Buffer

    @classmethod
    def copied(cls, first_row: int, batch: pa.RecordBatch) -> Put:
        message = batch.serialize()
        return cls(first_row, pa.ipc.read_record_batch(message, batch.schema), message)


@dataclass(frozen=True)
class Change:
    """One atomic change: the rows that came, and the row numbers that are dead after it (its own among them)."""

    dead: RowNumbers = field(default_factory=lambda: np.empty(0, np.uint64))
    puts: Sequence[Put] = ()

    @property
    def rows(self) -> int:
        return sum(put.batch.num_rows for put in self.puts)


def encode(change: Change, schema: pa.Schema | None) -> list[bytes | memoryview | pa.Buffer]:
    """The record's buffers. `schema` is given when the log file does not hold the puts' schema yet."""
    operations: list[tuple[int, Sequence[bytes | memoryview | pa.Buffer]]] = []
    if schema is not None:
        operations.append((SCHEMA, (schema.serialize(),)))
    if len(change.dead):
        operations.append((DEAD, (change.dead.tobytes(),)))
    for put in change.puts:
        operations.append((PUT, (_FIRST_ROW.pack(put.first_row), put.message)))
    buffers: list[bytes | memoryview | pa.Buffer] = [_HEAD.pack(MAGIC, len(operations))]
    for kind, payload in operations:
        length = sum(memoryview(piece).nbytes for piece in payload)
        buffers.append(_OPERATION.pack(kind, length))
        buffers.extend(payload)
        if length % 8:
            buffers.append(_ZEROS[length % 8 :])
    return buffers


class Decoder:
    """Reads the records of one log file in order; remembers the schema that its puts use."""

    def __init__(self) -> None:
        self.schema: pa.Schema | None = None

    def decode(self, payload: pa.Buffer, where: str) -> Change:
        """The change in one record. Its checksum was verified, so any surprise is CorruptionError."""
        dead: list[RowNumbers] = []
        puts: list[Put] = []
        for kind, body in _operations(payload, where):
            if kind == SCHEMA:
                self.schema = pa.ipc.read_schema(body)
            elif kind == DEAD:
                dead.append(np.frombuffer(body, np.uint64))
            elif kind == PUT and self.schema is not None:
                (first_row,) = _FIRST_ROW.unpack_from(body)
                message = body.slice(_FIRST_ROW.size)
                batch = pa.ipc.read_record_batch(message, self.schema)
                batch.validate()
                puts.append(Put(first_row, batch, message))
            else:
                raise CorruptionError(f"{where}: operation of unknown kind {kind}; run check()")
        return Change(np.concatenate(dead) if dead else np.empty(0, np.uint64), puts)


def _operations(payload: pa.Buffer, where: str) -> Iterator[tuple[int, pa.Buffer]]:
    try:
        magic, count = _HEAD.unpack_from(payload)
        if magic != MAGIC:
            raise CorruptionError(f"{where}: not a Nearrow record; run check()")
        offset = _HEAD.size
        for _ in range(count):
            kind, length = _OPERATION.unpack_from(payload, offset)
            offset += _OPERATION.size
            if length > payload.size - offset:
                raise CorruptionError(f"{where}: operation longer than its record; run check()")
            yield kind, payload.slice(offset, length)
            offset += length + (-length) % 8
    except struct.error as error:
        raise CorruptionError(f"{where}: record shorter than its operations; run check()") from error
