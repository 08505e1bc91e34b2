"""Chroma: which rows does a collection in one of its directories hold?"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from nearrow.analytics.exchange.incoming import Incoming, chosen_table
from nearrow.errors import NotFoundError

METRICS = {"l2": "l2", "ip": "dot", "cosine": "cosine"}
PAGE_ROWS = 2000
TEXT = "document"


def read(path: Path, table: str | None) -> Incoming:
    """ids, embeddings, documents (the text field "document") and metadata, each key a column."""
    client = _client(str(path))
    names = sorted(str(getattr(found, "name", found)) for found in client.list_collections())
    collection = client.get_collection(chosen_table(names, table, path), embedding_function=None)
    count = collection.count()
    if count == 0:
        raise NotFoundError(f"the Chroma collection {collection.name!r} holds no rows; there is nothing to adopt")
    space = _space(collection)
    pages = list(_pages(collection, count))
    rows = pa.concat_tables(pages, promote_options="permissive")
    dimension = rows.schema.field("vector").type.list_size
    return Incoming(rows.to_reader(), dimension, count, METRICS.get(space), (TEXT,))


def _client(path: str) -> Any:
    chromadb = import_module("chromadb")
    settings = import_module("chromadb.config").Settings(anonymized_telemetry=False)
    try:
        return chromadb.PersistentClient(path, settings=settings)
    except ValueError:  # the application has it open with other settings, and a process may have one only
        return chromadb.PersistentClient(path)


def _space(collection: Any) -> str:
    configured = collection.configuration_json.get("hnsw") or {}
    return str(configured.get("space") or (collection.metadata or {}).get("hnsw:space", "l2"))


def _pages(collection: Any, count: int) -> Iterator[pa.Table]:
    for start in range(0, count, PAGE_ROWS):
        page = collection.get(limit=PAGE_ROWS, offset=start, include=["embeddings", "documents", "metadatas"])
        vectors = np.ascontiguousarray(page["embeddings"], np.float32)
        metadata = [found or {} for found in page["metadatas"]]
        keys = dict.fromkeys(key for found in metadata for key in found)
        columns = {
            "id": pa.array(page["ids"], pa.string()),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1]),
            TEXT: pa.array(page["documents"], pa.string()),
        }
        columns.update({key: pa.array([found.get(key) for found in metadata]) for key in keys if key not in columns})
        yield pa.table(columns)
