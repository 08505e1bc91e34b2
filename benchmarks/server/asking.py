"""Asking: one client, which searches for some seconds and says how many answers it got.

python -m benchmarks.server.asking LOCATION COLLECTION SECONDS

COLLECTION "--bare": the server is the bare one, and each question a round trip to it. SECONDS 0: it asks once for each line
that comes in, and says how many µs that took.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from pyarrow import flight

import nearrow
from benchmarks.data import wordnet_table
from benchmarks.server.measures import BareExchange, float32_matrix

BARE = "--bare"
Ask = Callable[[np.ndarray[Any, Any]], Any]


@contextmanager
def asker(location: str, collection: str, dimension: int) -> Iterator[Ask]:
    """How this client asks for one vector; its ids are read, too."""
    if collection == BARE:
        with flight.FlightClient(location) as client:
            exchange = BareExchange(client, dimension)
            yield exchange.ask
            exchange.close()
        return
    with nearrow.connect(location) as db:
        words = db.collection(collection)
        yield lambda query: words.search(query, columns=[]).ids


def ask_when_told(ask: Ask, queries: np.ndarray[Any, Any]) -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        began = time.perf_counter()
        ask(queries[int(line)])
        print(1e6 * (time.perf_counter() - began), flush=True)


def main() -> None:
    location, collection, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    queries = float32_matrix(wordnet_table("queries")["vector"])
    with asker(location, collection, queries.shape[1]) as ask:
        for query in queries[:200]:
            ask(query)
        if not seconds:
            ask_when_told(ask, queries)
            return
        answers, processor, began = 0, time.process_time(), time.perf_counter()
        while time.perf_counter() - began < seconds:
            ask(queries[answers % len(queries)])
            answers += 1
        took = time.perf_counter() - began
    print(json.dumps({"rate": answers / took, "processor": (time.process_time() - processor) / took}))


if __name__ == "__main__":
    main()
