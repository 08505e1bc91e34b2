"""Bench: how fast does a collection answer, on this machine and with these rows, and how much does it find?"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Annotated, Any

import numpy as np
import typer

import nearrow
from nearrow.cli.arguments import LibraryArgument, NameArgument
from nearrow.cli.output import JsonOption, error_console, print_facts, print_json
from nearrow.cli.searching import parse_filter
from nearrow.errors import NotFoundError

WARM_UP = 20
BATCH = 256


def bench(
    library: LibraryArgument,
    name: NameArgument,
    k: Annotated[int, typer.Option("-k", help="How many hits.")] = 10,
    queries: Annotated[int, typer.Option(help="How many searches, one at a time.", min=1)] = 1000,
    where: Annotated[str | None, typer.Option(help="A filter: SQL, or JSON in the dict spelling.")] = None,
    ef_search: Annotated[int | None, typer.Option(help="The beam; larger is slower and finds more.")] = None,
    sample: Annotated[int, typer.Option(help="Rows whose neighbours are compared with an exact search.", min=1)] = 200,
    as_json: JsonOption = False,
) -> None:
    """Search for vectors of the collection itself, and measure latency, throughput and recall; writes nothing.

    [dim]nearrow bench ./library docs -k 10 --where "year > 2000"[/dim]
    """
    with nearrow.connect(library, read_only=True) as db:
        collection = db.collection(name)
        vectors = some_vectors(collection, queries)
        settings: dict[str, Any] = {"k": k, "where": parse_filter(where), "ef_search": ef_search, "columns": []}
        with nullcontext() if as_json else error_console().status("searching"):
            times_us = latencies_us(lambda vector: collection.search(vector, **settings).ids, vectors)
            began = time.perf_counter()
            for start in range(0, len(vectors), BATCH):
                collection.search(vectors[start : start + BATCH], **settings)
            batch_seconds = time.perf_counter() - began
            recall = collection.recall(k, sample, settings["where"])
        rows = len(collection)
    quantiles = statistics.quantiles(times_us, n=100) if len(times_us) > 1 else times_us * 99
    facts = {
        "collection": name,
        "rows": rows,
        "k": k,
        "p50_us": round(quantiles[49], 1),
        "p95_us": round(quantiles[94], 1),
        "p99_us": round(quantiles[98], 1),
        "one_at_a_time_per_second": round(1e6 * len(times_us) / sum(times_us)),
        "in_batches_per_second": round(len(vectors) / batch_seconds),
        "recall": round(float(recall), 4),
    }
    if as_json:
        print_json(facts)
    else:
        print_facts(facts)


def some_vectors(collection: nearrow.Collection, count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Vectors of the first rows, repeated if there are too few: float32 [count, dimension]."""
    found: list[np.ndarray[Any, Any]] = []
    for batch in collection.scan(columns=["vector"], batch_rows=count):
        flat = batch.column(0).flatten().to_numpy(zero_copy_only=False)
        found.append(flat.astype(np.float32).reshape(batch.num_rows, -1))
        if sum(map(len, found)) >= count:
            break
    if not found:
        raise NotFoundError(f"collection {collection.name!r} has no rows; import some first")
    return np.resize(np.concatenate(found), (count, collection.config.dimension))


def latencies_us(search: Callable[[Any], Any], vectors: np.ndarray[Any, Any]) -> list[float]:
    """Microseconds of each search, after some that warm up."""
    times: list[float] = []
    for vector in [*vectors[:WARM_UP], *vectors]:
        began = time.perf_counter()
        search(vector)
        times.append(1e6 * (time.perf_counter() - began))
    return times[min(WARM_UP, len(vectors)) :]
