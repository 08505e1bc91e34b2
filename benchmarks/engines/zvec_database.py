"""zvec: HNSW over float32 or 8-bit codes, inverted indexes on the metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import zvec

from benchmarks.engines import Condition, Engine, K

BATCH = 1000
INTEGERS = ("n_words", "random_rank", "anchor_rank")
STRINGS = ("pos", "lexname")
Query = getattr(zvec, "Query", None) or zvec.VectorQuery


class Zvec(Engine):
    package = "zvec"
    beams = (10, 14, 20, 28, 40, 60, 80, 120, 200, 300, 500)
    parameters: ClassVar[dict[str, Any]] = {"m": 16, "ef_construction": 200}
    where: str | None = None

    def __init__(self, quantize: str | None = None) -> None:
        self.quantize = {} if quantize is None else {"quantize_type": getattr(zvec.QuantizeType, quantize)}

    def start(self, folder: Path, dimension: int, metric: str, rows: int, threads: int) -> None:
        measure = {"l2": zvec.MetricType.L2, "cosine": zvec.MetricType.COSINE, "dot": zvec.MetricType.IP}[metric]
        graph = zvec.HnswIndexParam(metric_type=measure, m=16, ef_construction=200, **self.quantize)
        ranges = zvec.InvertIndexParam(enable_range_optimization=True)
        fields = [zvec.FieldSchema(name, zvec.DataType.STRING, index_param=zvec.InvertIndexParam()) for name in STRINGS]
        fields += [zvec.FieldSchema(name, zvec.DataType.INT32, index_param=ranges) for name in INTEGERS]
        vector = zvec.VectorSchema("vector", zvec.DataType.VECTOR_FP32, dimension, index_param=graph)
        schema = zvec.CollectionSchema(name="rows", fields=fields, vectors=vector)
        self.collection = zvec.create_and_open(path=str(folder / "collection"), schema=schema)

    def add(self, rows: pa.Table, first: int) -> None:
        vectors = rows["vector"].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)
        fields = rows.select([*STRINGS, *INTEGERS]).to_pylist()
        for start in range(0, len(rows), BATCH):
            numbers = range(start, min(start + BATCH, len(rows)))
            self.collection.insert(
                [
                    zvec.Doc(id=str(first + i), vectors={"vector": vectors[i].tolist()}, fields=fields[i])
                    for i in numbers
                ]
            )

    def finish(self) -> None:
        self.collection.optimize()

    def save(self, folder: Path) -> None:
        self.collection.flush()

    def open(self, folder: Path, base: np.ndarray, metric: str, threads: int = 1) -> None:
        self.collection = zvec.open(str(folder / "collection"))

    def set_beam(self, beam: int) -> None:
        self.settings = zvec.HnswQueryParam(ef=beam)

    def set_where(self, where: Condition | None) -> None:
        self.where = None if where is None else where.sql()

    def search(self, query: np.ndarray) -> list[int]:
        asked = Query(field_name="vector", vector=query.tolist(), param=self.settings)
        return [int(hit.id) for hit in self.collection.query(asked, topk=K, filter=self.where, output_fields=[])]

    def batch(self, queries: np.ndarray, threads: int) -> list[list[int]]:
        return [self.search(query) for query in queries]
