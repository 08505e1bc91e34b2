"""Serving: how do other processes and machines use a library?

python examples/serving.py
It does in one program what you would do in two: `nearrow serve ./library`, and a client elsewhere.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq

import nearrow
from nearrow.server.running import Server
from nearrow.server.settings import ServerSettings

DATA = Path(__file__).parent / "data"


async def ask_many(words: nearrow.Collection, vectors: list[list[float]]) -> int:
    """All questions at once."""
    answers = await asyncio.gather(*(words.asearch(vector, k=5, columns=[]) for vector in vectors))
    return sum(len(hits) for hits in answers)


with (
    TemporaryDirectory() as folder,
    Server(ServerSettings(folder, port=0)) as server,
    nearrow.connect(server.location) as db,  # the same verbs as for a directory
):
    words = db.create_collection("words", dimension=384, text_fields=["text"])
    words.add(pq.read_table(DATA / "rows.parquet"))
    queries = pq.read_table(DATA / "queries.parquet").slice(0, 20).to_pylist()
    for hit in words.search(queries[1]["vector"], text="bow", k=3, columns=["text"]):
        print(f"{hit.score:.3f}  {hit['text']}")
    print(f"{asyncio.run(ask_many(words, [query['vector'] for query in queries]))} hits for 20 questions at once")
