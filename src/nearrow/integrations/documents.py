"""Documents: how does a store of a framework keep its rows in a collection?

Every store here has an id (string), one text, metadata, and a vector. The framework's modules turn their documents into
that and back.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from nearrow.collection import Collection
from nearrow.database import Database
from nearrow.integrations.conditions import Conditions
from nearrow.integrations.metadata import JSON_COLUMN, MetadataColumns, from_json
from nearrow.opening import connect

TEXT_COLUMN = "text"


class DocumentRows:
    """A collection as the stores use it."""

    def __init__(self, collection: Collection, taken: Sequence[str] = ()) -> None:
        """`taken`: further columns that the store writes itself."""
        self.collection = collection
        self.columns = MetadataColumns((TEXT_COLUMN, *taken))
        self._writing = threading.Lock()  # two writes must not give one new key two kinds of column

    def put(
        self,
        ids: Sequence[str],
        texts: Sequence[str | None],
        metadatas: Sequence[Mapping[str, Any]],
        vectors: Any,
        *,
        others: Mapping[str, Any] | None = None,
        refuse_existing: bool = False,
    ) -> int:
        """Add documents, or replace those with these ids, as one atomic batch."""
        if len(ids) == 0:
            return 0
        with self._writing:
            columns = {"id": pa.array(ids, pa.string()), TEXT_COLUMN: pa.array(texts, pa.string()), **(others or {})}
            if vectors is not None:
                columns["vector"] = vectors
            columns.update(self.columns.spread(metadatas, self.collection.schema))
            return self.collection.add(columns) if refuse_existing else self.collection.upsert(columns)

    def update_metadata(self, ids: Sequence[str], metadatas: Sequence[Mapping[str, Any]]) -> int:
        """Give documents that exist new metadata; columns of keys that they no longer have become null."""
        if len(ids) == 0:
            return 0
        with self._writing:
            schema = self.collection.schema
            spread = self.columns.spread(metadatas, schema)
            for key in self.columns.keys(schema):
                for name in self.columns.columns_of(key, schema):
                    spread.setdefault(name, pa.nulls(len(ids), schema.field(name).type))
            return self.collection.update({"id": pa.array(ids, pa.string()), **spread})

    def conditions(self) -> Conditions:
        """Filters over the metadata as it is now."""
        return Conditions(self.columns, self.collection.schema)

    def metadata_of(self, hit: Any) -> dict[str, Any]:
        """The metadata of a hit, or of a row as a dict."""
        return from_json(hit.get(JSON_COLUMN))

    def known(self, columns: Sequence[str]) -> list[str]:
        """Those of the columns that there are: before the first document there are few."""
        return [name for name in columns if name in self.collection.schema.names]

    def clear(self) -> int:
        """Delete all documents."""
        return self.collection.delete(where={"id": {"$exists": True}}) if len(self.collection) else 0


def opened(connection: str | os.PathLike[str] | Database) -> Database:
    """A database, or the one in a directory."""
    return connection if isinstance(connection, Database) else connect(connection)


def matrix(vectors: Sequence[Any]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Lists of numbers as float32 [rows, dimensions]."""
    return np.asarray(vectors, dtype=np.float32)
