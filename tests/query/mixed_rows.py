"""Mixed rows: a collection as it looks in life, and the same rows in plain Python.

Several segments, some with a graph, a memtable, rows that died in each of them, rows that were replaced.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

import nearrow
from nearrow.collection import Collection
from nearrow.hits import Hits

DIMENSION = 12
SECTIONS = ["libs", "lib", "doc", "core", None]
Row = dict[str, Any]
Predicate = Callable[[Row], bool]


def everything(row: Row) -> bool:
    return True


@dataclass
class Mixed:
    """The collection, and its rows by id in the order in which they were inserted."""

    collection: Collection
    rows: dict[str, Row]
    metric: str

    def matching(self, predicate: Predicate = everything) -> list[str]:
        return [name for name, row in self.rows.items() if predicate(row)]

    def distances(self, query: Any, predicate: Predicate = everything) -> tuple[list[str], np.ndarray]:
        """All that match, nearest first; equal distances in order of insertion."""
        ids = self.matching(predicate)
        if not ids:
            return [], np.empty(0)
        vectors = np.array([self.rows[name]["vector"] for name in ids], np.float64)
        found = distances(self.metric, np.asarray(query, np.float64), vectors)
        order = np.argsort(found, kind="stable")
        return [ids[i] for i in order], found[order]

    def assert_nearest(self, hits: Hits, query: Any, k: int, predicate: Predicate = everything) -> None:
        """Exactly the k nearest that match."""
        ids, far = self.distances(query, predicate)
        assert len(hits) == min(k, len(ids))
        np.testing.assert_allclose(hits.distances, far[:k], rtol=1e-4, atol=1e-5)
        assert set(hits.ids.tolist()) <= set(ids)
        assert len(set(hits.ids.tolist())) == len(hits)


def distances(metric: str, query: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    if metric == "l2":
        return ((vectors - query) ** 2).sum(axis=1)
    if metric == "dot":
        return -vectors @ query
    norms = np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
    return 1 - vectors @ query / norms


def row(number: int, rng: np.random.Generator) -> Row:
    section = SECTIONS[number % len(SECTIONS)]
    return {
        "id": f"r{number:04d}",
        "vector": rng.standard_normal(DIMENSION).astype(np.float32).tolist(),
        "text": f"row {number} of {section}",
        "year": None if number % 11 == 3 else 1990 + number % 40,
        "section": section,
        "tags": None if number % 13 == 5 else [f"t{number % 3}", f"t{number % 7}"],
        "place": {"city": ["Bonn", "Ulm", None][number % 3], "zip": number},
    }


def mixed_collection(metric: str = "cosine", rows: int = 600, seed: int = 0) -> Mixed:
    """`rows` rows in four segments (three with a graph) and a memtable; every tenth died, every fifteenth was replaced."""
    rng = np.random.default_rng(seed)
    database = nearrow.connect(":memory:")
    collection = database.create_collection(
        "mixed", dimension=DIMENSION, metric=metric, text_fields=["text"], memtable_rows=100_000, graph_rows_min=100
    )
    known: dict[str, Row] = {}

    def put(batch: list[Row]) -> None:
        collection.upsert(batch)
        for one in batch:
            known.pop(one["id"], None)  # a new version is a new row: it comes last
            known[one["id"]] = one

    shares = [0, rows // 3, rows // 2, rows * 3 // 4, rows * 3 // 4 + 20, rows]
    for first, last in itertools.pairwise(shares):
        put([row(number, rng) for number in range(first, last)])
        if last < rows:
            collection.flush()
    dead = [f"r{number:04d}" for number in range(0, rows, 10)]
    collection.delete(dead)
    for name in dead:
        known.pop(name, None)
    put([row(number, rng) for number in range(7, rows, 15)])
    collection.wait()
    return Mixed(collection, known, metric)


def ids_of(table: pa.Table | pa.RecordBatchReader) -> list[str]:
    if isinstance(table, pa.RecordBatchReader):
        table = table.read_all()
    return table.column("id").to_pylist()
