"""Text rates: how fast do texts get in, and how fast are they found, alone and with vectors?

    python -m benchmarks.text_rates [--rows N] [--folder F]

All WordNet rows through `Collection.add`: first without a graph, counted until the text index is committed; then fresh
rows, one at a time, each searched for at once; then the graph is built, and words alone, vectors alone and both together
are asked in turns (words: the text of the query, signs taken out). Every search goes through `Collection.search` with its
defaults. Bytes are those of the text folder.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import nearrow
from benchmarks.data import wordnet_table

QUERIES = 500
FRESH = 50
PASSES = 3


def ingest(db: nearrow.Database, rows: pa.Table) -> nearrow.Collection:
    """Adds the rows; says how long until they could be searched by text, durably."""
    docs = db.create_collection("bare", 384, metric="cosine", text_fields=["text"], graph_rows_min=10**9)
    began = time.perf_counter()
    docs.add(rows)
    written = time.perf_counter()
    docs.wait()
    seconds = time.perf_counter() - began
    parts = f"{written - began:.2f} s rows, {seconds:.2f} s with text"
    print(f"ingest without a graph: {len(rows) / seconds:,.0f} rows/s ({parts})")
    return docs


def fresh_rows(docs: nearrow.Collection) -> None:
    """One row is upserted and found by its word: milliseconds of the search, and of both."""
    searches, both = [], []
    for number in range(FRESH):
        began = time.perf_counter()
        docs.upsert(ids=[f"fresh{number}"], vectors=np.ones((1, 384), np.float32), texts=[f"a fresh word{number}"])
        written = time.perf_counter()
        assert docs.search(text=f"word{number}", k=1, columns=[]).ids.tolist() == [f"fresh{number}"]
        done = time.perf_counter()
        searches.append((done - written) * 1e3)
        both.append((done - began) * 1e3)
    for name, found in (("text search after one fresh row", searches), ("with the write", both)):
        print(f"{name}: median {np.median(found):.1f} ms, worst {max(found):.1f} ms")


def rates(docs: nearrow.Collection, vectors: np.ndarray, texts: list[str]) -> None:
    """Queries per second of each way, the best of some interleaved passes."""
    ways: dict[str, Callable[[int], nearrow.Hits]] = {
        "text": lambda n: docs.search(text=texts[n], k=10, columns=[]),
        "vector": lambda n: docs.search(vectors[n], k=10, columns=[]),
        "hybrid": lambda n: docs.search(vectors[n], text=texts[n], k=10, columns=[]),
    }
    best = dict.fromkeys(ways, 0.0)
    for _ in range(PASSES):
        for name, way in ways.items():
            began = time.perf_counter()
            for number in range(len(texts)):
                way(number).ids.tolist()
            best[name] = max(best[name], len(texts) / (time.perf_counter() - began))
    slower = min(best["text"], best["vector"])
    shown = ", ".join(f"{name} {rate:,.0f}/s" for name, rate in best.items())
    print(f"{shown}; hybrid / the slower side: {best['hybrid'] / slower:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where the database is made (default: a temporary folder)")
    asked = parser.parse_args()
    rows = wordnet_table().slice(0, asked.rows)
    queries = wordnet_table("queries").slice(0, QUERIES)
    vectors = queries["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    texts = ["".join(c if c.isalnum() else " " for c in text) for text in queries["text"].to_pylist()]
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder, nearrow.connect(folder) as db:
        docs = ingest(db, rows)
        index = next(Path(folder).rglob("text"))
        size = sum(file.stat().st_size for file in index.iterdir())
        texts_bytes = pc.sum(pc.binary_length(rows["text"])).as_py()
        print(f"text index: {size:,} bytes, {size / texts_bytes:.2f} of the texts")
        fresh_rows(docs)
        whole = db.create_collection("whole", 384, metric="cosine", text_fields=["text"])
        whole.add(rows)
        whole.wait()
        rates(whole, np.ascontiguousarray(vectors.reshape(len(texts), -1), np.float32), texts)


if __name__ == "__main__":
    main()
