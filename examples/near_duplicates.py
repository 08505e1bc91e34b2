"""Duplicates: which rows are nearly the same, and which one of each group stays?

python examples/near_duplicates.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

import nearrow

DATA = Path(__file__).parent / "data"
COPIES = 200
NEAR = 0.01  # of cosine distance: a wording changed, not the meaning

table = pq.read_table(DATA / "rows.parquet", columns=["id", "text", "vector"])
vectors = np.array(table["vector"].to_pylist(), dtype=np.float32)
rng = np.random.default_rng(7)
copied = rng.choice(len(table), COPIES, replace=False)
noisy = vectors[copied] + 0.002 * rng.standard_normal((COPIES, vectors.shape[1])).astype(np.float32)

with nearrow.connect(":memory:") as db:
    rows = db.create_collection("rows", dimension=vectors.shape[1])
    rows.add(table)
    names = [table["id"][int(position)].as_py() for position in copied]
    rows.add(ids=[f"copy of {name}" for name in names], vectors=noisy, metadata={"text": ["…"] * COPIES})
    rows.compact()

    everything = rows.to_arrow()
    ids = everything["id"].to_pylist()
    questions = np.array(everything["vector"].to_pylist(), dtype=np.float32)
    pairs = set()
    for identifier, hits in zip(ids, rows.search(questions, k=5, columns=[]), strict=True):
        near = (hit.id for hit in hits if hit.distance <= NEAR and hit.id != identifier)
        pairs |= {tuple(sorted((identifier, other))) for other in near}

    found = sum(("copy of " in a) != ("copy of " in b) and {a, b} & set(names) != set() for a, b in pairs)
    print(
        f"{len(pairs)} near pairs among {len(rows)} rows; {found} of them are one of the {COPIES} copies and a real row"
    )
    gone = rows.delete(sorted({max(pair, key=lambda name: ("copy of " in name, name)) for pair in pairs}))
    print(f"{gone} rows deleted, {len(rows)} stay")
