"""Measures: one figure each, of a server and of what it is compared with."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import flight

import nearrow

ROUNDS = 5


def float32_matrix(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """A list column as float32 [rows, d]."""
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(flat.reshape(len(column), -1), np.float32)


class Told(float):
    """µs that an ask measured itself, in another process."""


def interleaved(asks: dict[str, Callable[[int], Any]], count: int) -> dict[str, float]:
    """The median µs of each of several ways to ask, in turn, so that what disturbs one disturbs all."""
    times: dict[str, list[float]] = {name: [] for name in asks}
    for number in range(-50, count):
        for name, ask in asks.items():
            began = time.perf_counter()
            answer = ask(number % 500)
            took = answer if isinstance(answer, Told) else 1e6 * (time.perf_counter() - began)
            if number >= 0:
                times[name].append(took)
    return {name: median(found) for name, found in times.items()}


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


class BareExchange:
    """One DoExchange stream to the bare server."""

    def __init__(self, client: flight.FlightClient, dimension: int) -> None:
        self._schema = pa.schema([("vector", pa.list_(pa.float32(), dimension))])
        self._writer, self._reader = client.do_exchange(flight.FlightDescriptor.for_path("any"))
        self._writer.begin(self._schema)

    def ask(self, vector: np.ndarray[Any, Any]) -> None:
        column = pa.FixedSizeListArray.from_arrays(pa.array(vector), len(vector))
        self._writer.write_batch(pa.RecordBatch.from_arrays([column], schema=self._schema))
        self._reader.read_chunk()

    def close(self) -> None:
        self._writer.close()


def scan_rate(read: Callable[[], Any]) -> float:
    """GB/s: the best of some rounds."""
    best = 0.0
    for _ in range(ROUNDS):
        size = 0
        began = time.perf_counter()
        for batch in read():
            size += batch.nbytes
        best = max(best, size / (time.perf_counter() - began) / 1e9)
    return best


def bare_scan(client: flight.FlightClient) -> Any:
    for chunk in client.do_get(flight.Ticket(b"")):
        yield chunk.data


def bulk(collection: nearrow.Collection, rows: pa.Table) -> float:
    """Seconds of one durable write of all rows, into a collection that is empty."""
    return seconds(lambda: collection.add(rows))
