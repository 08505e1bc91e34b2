"""Frames: how do the process that asks and the one that answers speak through a pipe?

A frame is a kind (one byte), the length of its body (u64, little endian), and the body. The question is pickled, for it
comes from the process that is trusted; what comes back never is: Arrow streams, and JSON for an error.
"""

from __future__ import annotations

import struct
from typing import IO

import pyarrow as pa

from nearrow.errors import LimitExceededError

QUESTION, SCHEMA, BATCH, ERROR, END = b"Q", b"S", b"B", b"E", b"Z"
_HEAD = struct.Struct("<cQ")


def write_frame(pipe: IO[bytes], kind: bytes, body: bytes | pa.Buffer = b"") -> None:
    pipe.write(_HEAD.pack(kind, len(body)))
    pipe.write(body)
    pipe.flush()


def read_frame(pipe: IO[bytes], bytes_max: int) -> tuple[bytes, bytes] | None:
    """(kind, body), or None if the pipe ended; LimitExceededError, before it is read, for a body that is too long."""
    head = pipe.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    kind, length = _HEAD.unpack(head)
    if length > bytes_max:
        raise LimitExceededError(f"the result is larger than {bytes_max:,} bytes; ask for fewer rows or columns")
    body = pipe.read(length)
    return None if len(body) < length else (kind, body)


def stream_of(schema: pa.Schema, batch: pa.RecordBatch | None = None) -> pa.Buffer:
    """A whole Arrow stream of at most one batch, so that dictionaries travel with it."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        if batch is not None:
            writer.write_batch(batch)
    return sink.getvalue()
