"""Search property: random rows and random filters through a collection equal plain Python, whatever was written when."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from filter_reference import SCHEMA, clauses, matches, rows
from hypothesis import given, settings
from hypothesis import strategies as st
from mixed_rows import distances, ids_of

import nearrow
from nearrow.collection import Collection

DIMENSION = 4


def written(data: list[dict[str, Any]], seals: set[int], metric: str, seed: int) -> tuple[Collection, dict[str, Any]]:
    """The rows in a collection, three at a time; after batches in `seals` the memtable becomes a segment."""
    rng = np.random.default_rng(seed)
    database = nearrow.connect(":memory:")
    collection = database.create_collection("p", dimension=DIMENSION, metric=metric, graph_rows_min=4)
    known: dict[str, Any] = {}
    for at in range(0, len(data), 3):
        batch = [row | {"id": f"{row['id']}-{(at + i) % 15}", "late": None} for i, row in enumerate(data[at : at + 3])]
        batch = list({row["id"]: row for row in batch}.values())
        vectors = rng.standard_normal((len(batch), DIMENSION)).astype(np.float32)
        table = pa.Table.from_pylist(batch, schema=SCHEMA)
        collection.upsert(table.append_column("vector", pa.FixedSizeListArray.from_arrays(vectors.ravel(), DIMENSION)))
        for row, vector in zip(batch, vectors, strict=True):
            known.pop(row["id"], None)
            known[row["id"]] = row | {"vector": vector}
        if at in seals:
            collection.flush()
    return collection, known


@settings(max_examples=150)
@given(
    st.lists(rows(), min_size=1, max_size=3).map(lambda lists: [row for some in lists for row in some]),
    clauses(),
    st.sets(st.integers(0, 60).map(lambda n: n - n % 3)),
    st.sampled_from(["cosine", "l2", "dot"]),
    st.integers(1, 12),
    st.integers(0, 2**16),
)
def test_every_verb_finds_what_python_finds(
    data: list[dict[str, Any]], where: dict[str, Any], seals: set[int], metric: str, k: int, seed: int
) -> None:
    if not data:
        return
    collection, known = written(data, seals, metric, seed)
    dead = [name for number, name in enumerate(known) if number % 4 == 1]
    collection.delete(dead)
    for name in dead:
        del known[name]
    if seed % 2:
        collection.wait()  # with graphs; without, some segments have none yet
    matching = [name for name, row in known.items() if matches(where, row)]
    assert collection.count(where) == len(matching)
    assert sorted(ids_of(collection.scan(where, columns=["id"]))) == sorted(matching)
    query = np.random.default_rng(seed + 1).standard_normal(DIMENSION).astype(np.float32)
    hits = collection.search(query, k=k, where=where, ef_search=64)
    assert len(hits) == min(k, len(matching))
    assert set(hits.ids.tolist()) <= set(matching)
    if matching:
        vectors = np.array([known[name]["vector"] for name in matching], np.float64)
        far = np.sort(distances(metric, query.astype(np.float64), vectors))
        np.testing.assert_allclose(hits.distances, far[:k], rtol=1e-3, atol=1e-5)
        within = float(far[len(far) // 2]) + 1e-5
        found = collection.search(query, k=None, where=where, within=within)
        assert len(found) == int((far <= within).sum())
    counted = collection.facets([{"field": "n", "stats": True}], where=where)["n"]["count"]
    assert counted == sum(known[name]["n"] is not None for name in matching)
    assert collection.delete(where=where) == len(matching)
    assert sorted(ids_of(collection.scan(columns=["id"]))) == sorted(set(known) - set(matching))
    collection.close()
