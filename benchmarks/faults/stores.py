"""Stores: how does each engine write a batch, and how is everything read back?

Adapters with default settings. An engine is imported by its adapter only, and before the first fork; it is opened in
children only.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks.faults.batches import DIMENSION, Batch


class Store(Protocol):
    """One open database."""

    def write(self, made: Batch) -> None:
        """Returns when the engine has acknowledged the batch."""

    def rows(self) -> dict[int, np.ndarray]:
        """Every row: id → vector."""

    def nearest(self, query: np.ndarray, k: int) -> list[int]:
        """The ids of the nearest rows."""

    def flush(self) -> None:
        """Whatever the engine offers to make sure that all is on disk."""

    def close(self) -> None: ...


def nearrow_store(folder: Path) -> Store:
    import nearrow

    class Nearrow:
        def __init__(self) -> None:
            self.database = nearrow.connect(folder)
            self.rows_ = self.database.get_or_create_collection("rows", DIMENSION, metric="l2")

        def write(self, made: Batch) -> None:
            if made.delete:
                self.rows_.delete([str(name) for name in made.ids])
            else:
                self.rows_.upsert(ids=[str(name) for name in made.ids], vectors=made.vectors)

        def rows(self) -> dict[int, np.ndarray]:
            table = self.rows_.to_arrow()
            return dict(zip(map(int, table["id"].to_pylist()), map(np.array, table["vector"].to_pylist()), strict=True))

        def nearest(self, query: np.ndarray, k: int) -> list[int]:
            return [int(name) for name in self.rows_.search(query, k=k, columns=["id"]).ids.tolist()]

        def flush(self) -> None:
            """Every write is durable when it returns."""

        def close(self) -> None:
            self.database.close()

    return Nearrow()


def chromadb_store(folder: Path) -> Store:
    import chromadb

    class Chroma:
        def __init__(self) -> None:
            settings = chromadb.Settings(anonymized_telemetry=False)
            self.client = chromadb.PersistentClient(str(folder), settings=settings)
            space: Any = {"hnsw": {"space": "l2"}}
            self.collection = self.client.get_or_create_collection("rows", configuration=space)

        def write(self, made: Batch) -> None:
            names = [str(name) for name in made.ids]
            if made.delete:
                self.collection.delete(ids=names)
            else:
                self.collection.upsert(ids=names, embeddings=made.vectors)

        def rows(self) -> dict[int, np.ndarray]:
            found = self.collection.get(include=["embeddings"])
            return dict(zip(map(int, found["ids"]), found["embeddings"], strict=True))

        def nearest(self, query: np.ndarray, k: int) -> list[int]:
            found = self.collection.query(query_embeddings=[query], n_results=k, include=["distances"])
            return [int(name) for name in found["ids"][0]]

        def flush(self) -> None:
            """There is no such verb."""

        def close(self) -> None:
            """There is no such verb, either."""

    return Chroma()


def lancedb_store(folder: Path) -> Store:
    import lancedb
    import pyarrow as pa

    schema = pa.schema([("id", pa.int64()), ("vector", pa.list_(pa.float32(), DIMENSION))])

    class Lance:
        def __init__(self) -> None:
            database = lancedb.connect(str(folder))
            self.table = database.create_table("rows", schema=schema, exist_ok=True)

        def write(self, made: Batch) -> None:
            if made.delete:
                self.table.delete(f"id >= {made.ids[0]} AND id <= {made.ids[-1]}")
                return
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(made.vectors.ravel()), DIMENSION)
            rows = pa.table({"id": pa.array(made.ids, pa.int64()), "vector": vectors}, schema=schema)
            self.table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(rows)

        def rows(self) -> dict[int, np.ndarray]:
            table = self.table.to_arrow()
            return dict(zip(table["id"].to_pylist(), map(np.array, table["vector"].to_pylist()), strict=True))

        def nearest(self, query: np.ndarray, k: int) -> list[int]:
            return self.table.search(query).limit(k).to_arrow()["id"].to_pylist()

        def flush(self) -> None:
            """There is no such verb."""

        def close(self) -> None:
            """There is no such verb, either."""

    return Lance()


def zvec_store(folder: Path) -> Store:
    import zvec

    measure = zvec.HnswIndexParam(metric_type=zvec.MetricType.L2)
    vector = zvec.VectorSchema("vector", zvec.DataType.VECTOR_FP32, DIMENSION, index_param=measure)
    query_of = getattr(zvec, "Query", None) or zvec.VectorQuery

    class Zvec:
        def __init__(self) -> None:
            if folder.exists():
                self.collection = zvec.open(path=str(folder))
            else:
                schema = zvec.CollectionSchema(name="rows", fields=[], vectors=vector)
                self.collection = zvec.create_and_open(path=str(folder), schema=schema)

        def write(self, made: Batch) -> None:
            if made.delete:
                statuses = self.collection.delete([str(name) for name in made.ids])
            else:
                documents = [
                    zvec.Doc(id=str(name), vectors={"vector": row.tolist()}, fields={})
                    for name, row in zip(made.ids, made.vectors, strict=True)
                ]
                statuses = self.collection.upsert(documents)
            refused = [str(status) for status in statuses if not status.ok()]
            if refused:
                raise OSError(refused[0])

        def rows(self) -> dict[int, np.ndarray]:
            found = self.collection.fetch([str(name) for name in range(200)])
            return {int(name): np.array(document.vectors["vector"]) for name, document in found.items()}

        def nearest(self, query: np.ndarray, k: int) -> list[int]:
            asked = query_of(field_name="vector", vector=query.tolist())
            return [int(hit.id) for hit in self.collection.query(asked, topk=k, output_fields=[])]

        def flush(self) -> None:
            self.collection.flush()

        def close(self) -> None:
            self.collection.close()

    return Zvec()


def qdrant_store(folder: Path) -> Store:
    import qdrant_edge as qdrant

    class QdrantEdge:
        def __init__(self) -> None:
            if folder.exists():
                self.shard = qdrant.EdgeShard.load(str(folder))
            else:
                folder.mkdir()
                vectors = qdrant.EdgeVectorParams(size=DIMENSION, distance=qdrant.Distance.Euclid)
                self.shard = qdrant.EdgeShard.create(str(folder), qdrant.EdgeConfig(vectors=vectors))

        def write(self, made: Batch) -> None:
            if made.delete:
                self.shard.update(qdrant.UpdateOperation.delete_points(made.ids))
                return
            rows = zip(made.ids, made.vectors, strict=True)
            points = [qdrant.Point(name, row.tolist(), {}) for name, row in rows]
            self.shard.update(qdrant.UpdateOperation.upsert_points(points))

        def rows(self) -> dict[int, np.ndarray]:
            records, _ = self.shard.scroll(qdrant.ScrollRequest(limit=1000, with_vector=True))
            return {int(record.id): np.array(record.vector) for record in records}

        def nearest(self, query: np.ndarray, k: int) -> list[int]:
            asked = qdrant.QueryRequest(limit=k, query=qdrant.Query.Nearest(query.tolist()))
            return [int(hit.id) for hit in self.shard.query(asked)]

        def flush(self) -> None:
            self.shard.flush()

        def close(self) -> None:
            self.shard.close()

    return QdrantEdge()


STORES: dict[str, tuple[Callable[[Path], Store], str, str]] = {
    "nearrow": (nearrow_store, "nearrow", "nearrow"),
    "chromadb": (chromadb_store, "chromadb", "chromadb"),
    "lancedb": (lancedb_store, "lancedb", "lancedb"),
    "zvec": (zvec_store, "zvec", "zvec"),
    "qdrant-edge": (qdrant_store, "qdrant_edge", "qdrant-edge-py"),
}
"""Engine → its adapter, its module, its distribution."""

os.environ.setdefault("LANCE_LOG", "error")
