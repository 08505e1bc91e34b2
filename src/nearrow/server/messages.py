"""Messages: what comes in on a stream, one message at a time, and is it fit to be looked at?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyarrow import flight

from nearrow.server.limits import Limits

Message = tuple["pa.RecordBatch | None", "bytes | None"]


def messages(reader: Any, limits: Limits) -> Iterator[Message]:
    """(batch or None, metadata or None) of each message until the other side stops writing.

    A batch is validated before anything else touches it: what an Arrow message says of its own buffers need not be true.
    InvalidArgumentError for one that is too large. The transport has read a message as a whole by then.
    """
    while True:
        try:
            chunk: flight.FlightStreamChunk = reader.read_chunk()
        except StopIteration:
            return
        batch, about = chunk.data, chunk.app_metadata
        if about is not None:
            limits.check_request(about.size)
        if batch is not None:
            limits.check_message(batch.num_rows, batch.get_total_buffer_size())
            batch.validate(full=True)
        yield batch, None if about is None or about.size == 0 else about.to_pybytes()
