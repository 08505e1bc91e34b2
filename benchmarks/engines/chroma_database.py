"""Chroma: persistent client, hnswlib inside, SQLite for the metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import chromadb
import numpy as np
import pyarrow as pa

from benchmarks.engines import Condition, Engine, K

BATCH = 5000
OPERATORS = {"=": "$eq", "<": "$lt", ">=": "$gte"}


class Chroma(Engine):
    package = "chromadb"
    beams = (100,)  # it is fixed when the collection is created
    parameters: ClassVar[dict[str, Any]] = {"max_neighbors": 16, "ef_construction": 200, "ef_search": 100}
    where: dict[str, Any] | None = None

    def _client(self, folder: Path) -> Any:
        return chromadb.PersistentClient(str(folder), settings=chromadb.Settings(anonymized_telemetry=False))

    def start(self, folder: Path, dimension: int, metric: str, rows: int, threads: int) -> None:
        space = {"l2": "l2", "cosine": "cosine", "dot": "ip"}[metric]
        graph = {"space": space, "ef_search": 100, "ef_construction": 200, "max_neighbors": 16, "num_threads": threads}
        self.collection = self._client(folder).create_collection("rows", configuration={"hnsw": graph})

    def add(self, rows: pa.Table, first: int) -> None:
        vectors = rows["vector"].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)
        texts = rows["text"].to_pylist()
        fields = rows.drop_columns(["row", "vector", "text"]).to_pylist()
        names = [str(first + number) for number in range(len(rows))]
        for start in range(0, len(rows), BATCH):
            part = slice(start, start + BATCH)
            self.collection.add(
                ids=names[part], embeddings=vectors[part], metadatas=fields[part], documents=texts[part]
            )

    def save(self, folder: Path) -> None:
        """It is on disk already."""

    def open(self, folder: Path, base: np.ndarray, metric: str, threads: int = 1) -> None:
        self.collection = self._client(folder).get_collection("rows")

    def set_beam(self, beam: int) -> None:
        """Nothing to set."""

    def set_where(self, where: Condition | None) -> None:
        self.where = None if where is None else {where.column: {OPERATORS[where.operator]: where.value}}

    def search(self, query: np.ndarray) -> list[int]:
        return self.batch(query[None], 1)[0]

    def batch(self, queries: np.ndarray, threads: int) -> list[list[int]]:
        answer = self.collection.query(
            query_embeddings=list(queries), n_results=K, where=self.where, include=["distances"]
        )
        return [[int(name) for name in names] for names in answer["ids"]]
