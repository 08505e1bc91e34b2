"""Quickstart: how do rows get in, and the nearest ones out?

python examples/quickstart.py
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq

import nearrow

DATA = Path(__file__).parent / "data"

with TemporaryDirectory() as folder, nearrow.connect(folder) as db:
    words = db.create_collection("words", dimension=384, metric="cosine")
    words.add(pq.read_table(DATA / "rows.parquet"), progress=True)

    for query in pq.read_table(DATA / "queries.parquet").slice(0, 3).to_pylist():
        print(f"near {query['word']}:")
        for hit in words.search(query["vector"], k=3, columns=["lemmas", "text"]):
            print(f"  {hit.distance:.3f}  {hit['lemmas'][0]}: {hit['text']}")
