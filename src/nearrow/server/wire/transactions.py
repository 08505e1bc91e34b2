"""Wire transactions: how do several writes with different columns travel as one stream?

Each row of the stream is one write: its verb, and its rows as an Arrow IPC stream (of `delete`: one column, id).
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from nearrow.errors import InvalidArgumentError
from nearrow.server.wire.requests import WRITES

SCHEMA = pa.schema([("write", pa.string()), ("rows", pa.binary())])
Write = tuple[str, pa.Table]
VERBS = tuple(verb for verb in WRITES if verb != "transaction")


def pack(write: str, rows: pa.Table) -> pa.RecordBatch:
    """One write as a batch of one row."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows)
    return pa.record_batch([pa.array([write]), pa.array([sink.getvalue().to_pybytes()], pa.binary())], schema=SCHEMA)


def unpack(batch: pa.RecordBatch) -> Iterator[Write]:
    """The writes in a batch; InvalidArgumentError for anything else."""
    if not batch.schema.equals(SCHEMA):
        raise InvalidArgumentError(f"a transaction's stream has the columns write and rows, not {batch.schema}")
    batch.validate(full=True)
    for verb, rows in zip(batch.column(0).to_pylist(), batch.column(1), strict=True):
        if verb not in VERBS or not rows.is_valid:
            raise InvalidArgumentError(f"a transaction is made of {', '.join(VERBS)}, not {verb!r:.60}")
        with pa.ipc.open_stream(rows.as_buffer()) as stream:
            table = stream.read_all()
        table.validate(full=True)
        yield verb, table
