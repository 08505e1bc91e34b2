"""Churn: does a collection stay as good as new while a third of it comes and goes?

    python -m benchmarks.churn [--rows N] [--rounds 10] [--share 0.3]

WordNet in one collection; each round deletes a random share of the rows and adds them again, in batches. Nothing is
called by hand but `wait()`, which only waits for the background. Each round prints recall@10 at one beam, and the bytes
on disk; the end compares both with a collection that the same rows were added to once.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

import nearrow
from benchmarks.data import exact_nearest, load, wordnet_table

QUERIES = 1000
K = 10
BATCH = 1000


def recall(docs: nearrow.Collection, queries: np.ndarray, truth: np.ndarray, ids: np.ndarray, beam: int) -> float:
    """The share of the true nearest K that a beam finds."""
    found = docs.search(queries, k=K, ef_search=beam, columns=[])
    return float(np.mean([len(set(hits.ids) & set(ids[rows])) / K for hits, rows in zip(found, truth, strict=True)]))


def one_round(docs: nearrow.Collection, rows: pa.Table, chosen: np.ndarray) -> None:
    """Delete the chosen rows, batch by batch, and add each batch again before the next but one is deleted."""
    for start in range(0, len(chosen), BATCH):
        some = rows.take(pa.array(np.sort(chosen[start : start + BATCH])))
        docs.delete(some["id"].combine_chunks())
        docs.add(some)


def fresh(database: nearrow.Database, name: str, rows: pa.Table) -> nearrow.Collection:
    docs = database.create_collection(name, 384, metric="cosine", text_fields=["text"])
    docs.add(rows)
    docs.wait()
    return docs


def state(docs: nearrow.Collection) -> str:
    stats = docs.stats()
    return f"{len(stats.segments)} segments, {stats.dead:,} dead rows, {stats.disk_bytes_total:,} bytes"


def churn(folder: Path, asked: argparse.Namespace) -> None:
    rows = wordnet_table().slice(0, asked.rows)
    dataset = load("wordnet")
    base, queries = np.ascontiguousarray(dataset.base[: len(rows)]), dataset.queries[:QUERIES]
    truth, _ = exact_nearest(base, queries, "cosine", K)
    ids = np.array(rows["id"].to_pylist(), object)
    random = np.random.default_rng(asked.seed)
    with nearrow.connect(folder) as database:
        docs = fresh(database, "churned", rows)
        print(f"new: recall {recall(docs, queries, truth, ids, asked.beam):.4f}; {state(docs)}", flush=True)
        for number in range(1, asked.rounds + 1):
            began = time.perf_counter()
            chosen = random.choice(len(rows), int(asked.share * len(rows)), replace=False)
            one_round(docs, rows, chosen)
            docs.wait()
            took = time.perf_counter() - began
            found = recall(docs, queries, truth, ids, asked.beam)
            print(f"round {number}: recall {found:.4f}; {state(docs)}; {took:.0f} s", flush=True)
        assert len(docs) == len(rows)
        once = fresh(database, "once", rows)
        other = recall(once, queries, truth, ids, asked.beam)
        ratio = docs.stats().disk_bytes_total / once.stats().disk_bytes_total
        print(f"added once: recall {other:.4f}; {state(once)}")
        print(f"churned - added once: recall {found - other:+.4f}; space {ratio:.2f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="of WordNet (default: all)")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--beam", type=int, default=64, help="ef_search")
    parser.add_argument("--seed", type=int, default=0)
    with tempfile.TemporaryDirectory() as folder:
        churn(Path(folder), parser.parse_args())


if __name__ == "__main__":
    main()
