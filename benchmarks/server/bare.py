"""Bare: what does pyarrow.flight alone cost? The peer: it answers at once, with as many bytes as Nearrow would send.

    python -m benchmarks.server.bare TABLE.arrow

DoExchange answers each message of vectors with ten made-up hits, DoGet streams the table from memory.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import pyarrow as pa
from pyarrow import flight

HITS = pa.record_batch(
    {"id": [f"n{i:08d}" for i in range(10)], "distance": pa.array([0.5] * 10, pa.float32()), "score": [0.5] * 10}
)


class Bare(flight.FlightServerBase):
    def __init__(self, table: pa.Table) -> None:
        super().__init__("grpc://127.0.0.1:0")
        self._table = table

    def do_exchange(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        writer.begin(HITS.schema)
        for _ in reader:
            writer.write_with_metadata(HITS, b'{"counts": [10]}')

    def do_get(self, context: Any, ticket: Any) -> Any:
        return flight.RecordBatchStream(self._table)


if __name__ == "__main__":
    with pa.memory_map(sys.argv[1]) as file, Bare(pa.ipc.open_file(file).read_all()) as server:
        print(json.dumps({"location": f"grpc://127.0.0.1:{server.port}"}, indent=1), flush=True)
        while True:
            time.sleep(3600)
