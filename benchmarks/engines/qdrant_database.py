"""Qdrant Edge: Qdrant's segment in this process, HNSW over float32, payload indexes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import qdrant_edge as qdrant

from benchmarks.engines import Condition, Engine, K

BATCH = 1000


class QdrantEdge(Engine):
    package = "qdrant-edge-py"
    beams = (10, 14, 20, 28, 40, 60, 80, 120, 200, 300, 500)
    parameters: ClassVar[dict[str, Any]] = {"m": 16, "ef_construct": 200, "acorn": "off"}
    where: qdrant.Filter | None = None

    def start(self, folder: Path, dimension: int, metric: str, rows: int, threads: int) -> None:
        distance = {"l2": qdrant.Distance.Euclid, "cosine": qdrant.Distance.Cosine, "dot": qdrant.Distance.Dot}[metric]
        graph = qdrant.HnswIndexConfig(m=16, ef_construct=200, full_scan_threshold=10_000, max_indexing_threads=threads)
        vectors = qdrant.EdgeVectorParams(size=dimension, distance=distance)
        optimizers = qdrant.EdgeOptimizersConfig(default_segment_number=1, indexing_threshold=1000)
        config = qdrant.EdgeConfig(vectors=vectors, hnsw_config=graph, optimizers=optimizers)
        self.shard = qdrant.EdgeShard.create(str(folder / "shard"), config)
        for column, kind in (
            ("pos", "Keyword"),
            ("lexname", "Keyword"),
            ("n_words", "Integer"),
            ("random_rank", "Integer"),
            ("anchor_rank", "Integer"),
        ):
            self.shard.update(
                qdrant.UpdateOperation.create_field_index(column, getattr(qdrant.PayloadSchemaType, kind))
            )

    def add(self, rows: pa.Table, first: int) -> None:
        vectors = rows["vector"].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)
        fields = rows.drop_columns(["row", "vector"]).to_pylist()
        for start in range(0, len(rows), BATCH):
            numbers = range(start, min(start + BATCH, len(rows)))
            points = [qdrant.Point(first + i, vectors[i].tolist(), fields[i]) for i in numbers]
            self.shard.update(qdrant.UpdateOperation.upsert_points(points))

    def finish(self) -> None:
        self.shard.optimize()

    def save(self, folder: Path) -> None:
        self.shard.flush()

    def open(self, folder: Path, base: np.ndarray, metric: str, threads: int = 1) -> None:
        self.shard = qdrant.EdgeShard.load(str(folder / "shard"))

    def set_beam(self, beam: int) -> None:
        self.settings = qdrant.SearchParams(hnsw_ef=beam)

    def set_where(self, where: Condition | None) -> None:
        self.where = None if where is None else qdrant.Filter(must=[_field(where)])

    def search(self, query: np.ndarray) -> list[int]:
        nearest = qdrant.Query.Nearest(query.tolist())
        asked = qdrant.QueryRequest(limit=K, query=nearest, filter=self.where, params=self.settings, with_payload=False)
        return [hit.id for hit in self.shard.query(asked)]

    def batch(self, queries: np.ndarray, threads: int) -> list[list[int]]:
        return [self.search(query) for query in queries]


def _field(where: Condition) -> qdrant.FieldCondition:
    if where.operator == "=":
        return qdrant.FieldCondition(where.column, match=qdrant.MatchValue(where.value))
    name = {"<": "lt", ">=": "gte"}[where.operator]
    return qdrant.FieldCondition(where.column, range=qdrant.RangeFloat(**{name: float(where.value)}))
