"""Acceptance: does a collection of all WordNet rows keep what the README promises?

    python -m benchmarks.acceptance

Adds 115,659 × 384 rows durably, measures recall, compares exact search with NumPy in float64, reopens in a new process,
and writes, deletes and searches in turn. Prints one line for each promise.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

import nearrow
from benchmarks.data import data_folder

NAME = "words"


def matrix(table: pa.Table, column: str) -> npt.NDArray[np.float32]:
    """A list column as float32 [rows, d]."""
    flat = table.column(column).combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(flat.reshape(table.num_rows, -1), np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reopen", metavar="DIRECTORY", help=argparse.SUPPRESS)
    parser.add_argument("--cycles", type=int, default=1000, help="single-row upserts and deletes")
    arguments = parser.parse_args()
    if arguments.reopen:
        return reopen(arguments.reopen)
    base = pq.read_table(data_folder() / "wordnet" / "base.parquet")
    asked = pq.read_table(data_folder() / "wordnet" / "queries.parquet")
    queries, truth = matrix(asked, "vector"), matrix(asked, "neighbors").astype(np.int64)[:, :10]
    ids = np.array(base["id"].to_pylist(), object)
    with tempfile.TemporaryDirectory() as directory:
        with nearrow.connect(directory) as database:
            words = database.create_collection(NAME, dimension=384, metric="cosine", text_fields=["text"])
            began = time.perf_counter()
            words.add(base)
            print(f"one durable add of {len(words):,} rows: {time.perf_counter() - began:.2f} s")
            words.wait()
            print(f"graph and text index ready after {time.perf_counter() - began:.1f} s")
            found = words.search(queries, k=10, ef_search=100)
            same = [len(set(hits.ids) & set(ids[rows])) / 10 for hits, rows in zip(found, truth, strict=True)]
            print(f"recall@10 at ef_search=100: {np.mean(same):.4f} over {len(queries):,} queries")
            compare_exact(words, matrix(base, "vector"), ids, queries[:200])
        for _ in range(3):
            subprocess.run([sys.executable, "-m", "benchmarks.acceptance", "--reopen", directory], check=True)
        with nearrow.connect(directory) as database:
            write_and_look(database.collection(NAME), queries, arguments.cycles)
    return None


def compare_exact(
    words: nearrow.Collection,
    base: npt.NDArray[np.float32],
    ids: npt.NDArray[np.object_],
    queries: npt.NDArray[np.float32],
) -> None:
    """exact=True against NumPy in float64."""
    wide = base.astype(np.float64)
    norms = np.linalg.norm(wide, axis=1)
    identical, worst = 0, 0.0
    for hits, query in zip(words.search(queries, k=10, exact=True), queries.astype(np.float64), strict=True):
        distances = 1 - wide @ query / (norms * np.linalg.norm(query))
        order = np.argsort(distances, kind="stable")[:10]
        identical += list(hits.ids) == list(ids[order])
        worst = max(worst, float(np.max(np.abs(hits.distances - distances[order]) / distances[order])))
    print(f"exact=True: {identical} of {len(queries)} answers identical to NumPy, relative error ≤ {worst:.1e}")


def reopen(directory: str) -> None:
    """Open, search, and say what it cost this process."""
    queries = matrix(pq.read_table(data_folder() / "wordnet" / "queries.parquet", columns=["vector"]), "vector")
    before = anonymous_bytes()
    began = time.perf_counter()
    database = nearrow.connect(directory)
    words = database.collection(NAME)
    _ = words.search(queries[0]).ids
    seconds = time.perf_counter() - began
    for query in queries[:1000]:
        words.search(query)
    grown = anonymous_bytes() - before
    share = grown / (len(words) * 384 * 4)
    print(
        f"reopened, first answer after {seconds * 1e3:.1f} ms; RssAnon +{grown / 2**20:.1f} MiB ({share:.1%} of the vectors)"
    )
    database.close()


def write_and_look(words: nearrow.Collection, queries: npt.NDArray[np.float32], cycles: int) -> None:
    """Each upsert is found, and each delete is gone, in the very next call."""
    began = time.perf_counter()
    wrong = 0
    for cycle in range(cycles):
        vector = queries[cycle % len(queries)] + np.float32(1e-3)
        words.upsert(ids=[f"new-{cycle}"], vectors=vector[None, :], texts=["a fresh row"])
        wrong += words.search(vector, k=1).ids[0] != f"new-{cycle}"
        words.delete([f"new-{cycle}"])
        wrong += words.search(vector, k=1).ids[0] == f"new-{cycle}" or f"new-{cycle}" in words
    rate = cycles / (time.perf_counter() - began)
    print(
        f"{cycles} upserts and {cycles} deletes between searches: {wrong} not visible to the next call, {rate:.0f} rounds/s"
    )


def anonymous_bytes() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))


if __name__ == "__main__":
    main()
