"""Only the index: how does one search vectors that live in an array of one's own?

python examples/only_the_index.py

The array is held by reference and never copied; the graph is saved beside it and mapped when it is opened again.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow.parquet as pq

import nearrow

DATA = Path(__file__).parent / "data"


def matrix(name: str) -> np.ndarray:
    """The vectors of a file, float32 [rows, 384]."""
    column = pq.read_table(DATA / name, columns=["vector"])["vector"].combine_chunks()
    return column.flatten().to_numpy(zero_copy_only=False).astype(np.float32).reshape(-1, 384)


vectors, queries = matrix("rows.parquet"), matrix("queries.parquet")
index = nearrow.HnswIndex.build(vectors, metric="cosine", m=16, ef_construction=200)
positions, distances = index.search(queries, k=10, ef_search=64)

exact = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(positions, exact, strict=True)])
print(f"{len(index):,} vectors, {index.nbytes / 1e6:.1f} MB of graph and codes, recall@10 {recall:.3f}")

with TemporaryDirectory() as folder:
    path = Path(folder) / "words.graph"
    index.save(path)
    again = nearrow.HnswIndex.open(path, vectors)
    assert np.array_equal(again.search(queries, k=10, ef_search=64)[0], positions)
