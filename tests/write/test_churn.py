"""Churn: does a collection stay as good as new while a third of it comes and goes? (`python -m benchmarks.churn`, short)"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import nearrow
from nearrow.collection import Collection

ROUNDS, SHARE = 10, 0.3
BATCH = 200
BEAM = 32


def recall(docs: Collection, queries: np.ndarray) -> float:
    found = docs.search(queries, k=10, ef_search=BEAM, columns=[])
    truth = docs.search(queries, k=10, exact=True, columns=[])
    return float(np.mean([len(set(one.ids) & set(other.ids)) / 10 for one, other in zip(found, truth, strict=True)]))


def add(docs: Collection, vectors: np.ndarray, numbers: np.ndarray) -> None:
    docs.add(ids=[f"row-{number}" for number in numbers], vectors=vectors[numbers])


def test_ten_rounds_of_churn_leave_recall_and_space_as_new(
    tmp_path: Path, wordnet_vectors: np.ndarray, wordnet_queries: np.ndarray
) -> None:
    random = np.random.default_rng(6)
    everyone = np.arange(len(wordnet_vectors))
    with nearrow.connect(tmp_path) as database:
        churned, new = (
            database.create_collection(name, 384, metric="cosine", memtable_rows=500, graph_rows_min=500)
            for name in ("churned", "new")
        )
        add(churned, wordnet_vectors, everyone)
        for _ in range(ROUNDS):
            chosen = random.choice(everyone, int(SHARE * len(everyone)), replace=False)
            for start in range(0, len(chosen), BATCH):
                some = chosen[start : start + BATCH]
                churned.delete([f"row-{number}" for number in some])
                add(churned, wordnet_vectors, some)
            churned.wait()  # only waits: nothing is called by hand
        add(new, wordnet_vectors, everyone)
        new.wait()
        assert churned.count() == len(everyone)
        assert recall(churned, wordnet_queries) >= recall(new, wordnet_queries) - 0.01
        assert churned.stats().disk_bytes_total <= 1.3 * new.stats().disk_bytes_total
