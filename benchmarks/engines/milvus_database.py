"""Milvus Lite: its in-process engine, faiss HNSW inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from milvus_lite import CollectionSchema, DataType, FieldSchema, MilvusLite

from benchmarks.engines import Condition, Engine, K

BATCH = 5000
INTEGERS = ("n_words", "random_rank", "anchor_rank")
STRINGS = ("pos", "lexname")


class MilvusLiteEngine(Engine):
    package = "milvus-lite"
    beams = (10, 14, 20, 28, 40, 60, 80, 120, 200, 300, 500)
    parameters: ClassVar[dict[str, Any]] = {"index": "HNSW", "M": 16, "efConstruction": 200}
    where: str | None = None

    def start(self, folder: Path, dimension: int, metric: str, rows: int, threads: int) -> None:
        fields = [
            FieldSchema("row", DataType.INT64, is_primary=True),
            FieldSchema("vector", DataType.FLOAT_VECTOR, dim=dimension),
        ]
        fields += [FieldSchema(name, DataType.INT32) for name in INTEGERS]
        fields += [FieldSchema(name, DataType.VARCHAR, max_length=1000) for name in STRINGS]
        self.metric = {"l2": "L2", "cosine": "COSINE", "dot": "IP"}[metric]
        self.database = MilvusLite(str(folder / "database"))
        self.collection = self.database.create_collection("rows", CollectionSchema(fields=fields))

    def add(self, rows: pa.Table, first: int) -> None:
        rows = rows.drop_columns(["text"])
        for start in range(0, len(rows), BATCH):
            self.collection.insert(rows.slice(start, BATCH).to_pylist())

    def finish(self) -> None:
        self.collection.flush()
        graph = {"index_type": "HNSW", "metric_type": self.metric, "params": {"M": 16, "efConstruction": 200}}
        self.collection.create_index("vector", graph)
        self.collection.load()

    def save(self, folder: Path) -> None:
        self.database.close()

    def open(self, folder: Path, base: np.ndarray, metric: str, threads: int = 1) -> None:
        self.database = MilvusLite(str(folder / "database"))
        self.collection = self.database.get_collection("rows")
        self.collection.load()

    def set_beam(self, beam: int) -> None:
        self.settings = {"ef": beam}

    def set_where(self, where: Condition | None) -> None:
        self.where = None if where is None else where.sql().replace(" = ", " == ")

    def search(self, query: np.ndarray) -> list[int]:
        return self.batch(query[None], 1)[0]

    def batch(self, queries: np.ndarray, threads: int) -> list[list[int]]:
        answer = self.collection.search(
            list(queries), top_k=K, expr=self.where, output_fields=[], search_params=self.settings
        )
        return [[hit["id"] for hit in hits] for hits in answer]
