"""Document store: how does a collection keep Haystack's Documents?"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from haystack import Document, default_from_dict, default_to_dict
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy

from nearrow.awaitable import awaited_read, awaited_write
from nearrow.database import Database
from nearrow.errors import AlreadyExistsError
from nearrow.hits import Hits
from nearrow.integrations.documents import TEXT_COLUMN, DocumentRows, opened
from nearrow.integrations.haystack.documents import (
    EMBEDDED_COLUMN,
    FETCHED,
    REST_COLUMN,
    checked,
    document_of,
    others_of,
    vectors_of,
)
from nearrow.integrations.haystack.filters import where_of
from nearrow.integrations.haystack.metadata_verbs import MetadataVerbs
from nearrow.integrations.metadata import JSON_COLUMN, from_json


class NearrowDocumentStore(MetadataVerbs):
    """Documents in a collection.

    connection: a directory, ":memory:", a server's address, or an open Database (which cannot be serialised).
    settings: of `create_collection`, such as metric="dot". Embeddings are kept as float32.
    """

    def __init__(
        self,
        connection: str | os.PathLike[str] | Database = ":memory:",
        *,
        collection_name: str = "haystack",
        embedding_dim: int = 768,
        **settings: Any,
    ) -> None:
        self._connection = connection
        self._collection_name = collection_name
        self._embedding_dim = embedding_dim
        self._settings = settings
        self.database = opened(connection)
        self._open()

    def _open(self) -> None:
        self.collection = self.database.get_or_create_collection(
            self._collection_name, self._embedding_dim, **{"text_fields": [TEXT_COLUMN], **self._settings}
        )
        self._rows = DocumentRows(self.collection, (EMBEDDED_COLUMN, REST_COLUMN))

    def to_dict(self) -> dict[str, Any]:
        """For pipelines that are written to a file."""
        path = self._connection.path if isinstance(self._connection, Database) else os.fspath(self._connection)
        described: dict[str, Any] = default_to_dict(
            self,
            connection=path,
            collection_name=self._collection_name,
            embedding_dim=self._embedding_dim,
            **self._settings,
        )
        return described

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> NearrowDocumentStore:
        """The inverse of `to_dict`."""
        store: NearrowDocumentStore = default_from_dict(cls, data)
        return store

    # ---- writing

    def write_documents(self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE) -> int:
        """Write documents as one atomic batch; returns how many. An id that exists: by default DuplicateDocumentError."""
        given = checked(documents)
        if policy is DuplicatePolicy.SKIP:
            given = self._new_ones(given)
        elif policy is DuplicatePolicy.OVERWRITE:
            given = list({document.id: document for document in given}.values())
        try:
            return self._rows.put(
                [document.id for document in given],
                [document.content for document in given],
                [document.meta for document in given],
                vectors_of(given, self._embedding_dim),
                others=others_of(given),
                refuse_existing=policy in (DuplicatePolicy.NONE, DuplicatePolicy.FAIL),
            )
        except AlreadyExistsError as error:
            raise DuplicateDocumentError(str(error)) from error

    def _new_ones(self, documents: list[Document]) -> list[Document]:
        """Those whose ids do not exist, each id once."""
        first = {document.id: document for document in reversed(documents)}
        exist = set(self.collection.get(list(first), ["id"])["id"].to_pylist()) if first else set()
        return [document for identifier, document in reversed(first.items()) if identifier not in exist]

    def delete_documents(self, document_ids: list[str]) -> None:
        """Delete documents by id; ids that do not exist are ignored."""
        if document_ids:
            self.collection.delete(document_ids)

    def delete_all_documents(self, recreate_collection: bool = False) -> None:
        """Delete every document. recreate_collection: the collection too, and make it anew: its columns are forgotten."""
        if recreate_collection:
            self.database.drop_collection(self._collection_name)
            self._open()
        else:
            self._rows.clear()

    def delete_by_filter(self, filters: dict[str, Any]) -> int:
        """Delete the documents that match; returns how many."""
        where = where_of(filters, self._rows.conditions())
        return self._rows.clear() if where is None else self.collection.delete(where=where)

    def update_by_filter(self, filters: dict[str, Any], meta: dict[str, Any]) -> int:
        """Put these keys into the metadata of the documents that match; returns how many."""
        rows = self._scan(filters, ["id", JSON_COLUMN])
        metadatas = [{**from_json(row[JSON_COLUMN]), **meta} for row in rows]
        return self._rows.update_metadata([row["id"] for row in rows], metadatas)

    # ---- reading

    def count_documents(self) -> int:
        """How many documents there are."""
        return len(self.collection)

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """The documents that match, or all."""
        return [document_of(row) for row in self._scan(filters, ["id", *FETCHED])]

    def count_documents_by_filter(self, filters: dict[str, Any]) -> int:
        """How many documents match."""
        return self.collection.count(where_of(filters, self._rows.conditions()))

    def search(
        self,
        *,
        embedding: list[float] | None = None,
        query: str | None = None,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        **settings: Any,
    ) -> list[Document]:
        """The best documents by embedding, by words (BM25), or by both; what the retrievers call."""
        if not len(self.collection):
            return []
        where = where_of(filters, self._rows.conditions())
        if embedding is not None and query is None and self.collection.count({EMBEDDED_COLUMN: False}):
            embedded = {EMBEDDED_COLUMN: True}
            where = embedded if where is None else {"$and": [embedded, where]}
        vector = None if embedding is None else np.asarray(embedding, np.float32)
        hits: Hits = self.collection.search(vector, text=query, k=top_k, where=where, columns=FETCHED, **settings)
        return [document_of(hit, hit.score) for hit in hits]

    def _scan(self, filters: dict[str, Any] | None, columns: list[str]) -> list[dict[str, Any]]:
        if not len(self.collection):
            return []
        where = where_of(filters, self._rows.conditions())
        rows: list[dict[str, Any]] = self.collection.scan(where, self._rows.known(columns)).read_all().to_pylist()
        return rows

    write_documents_async = awaited_write(write_documents)
    delete_documents_async = awaited_write(delete_documents)
    delete_all_documents_async = awaited_write(delete_all_documents)
    delete_by_filter_async = awaited_write(delete_by_filter)
    update_by_filter_async = awaited_write(update_by_filter)
    count_documents_async = awaited_read(count_documents)
    filter_documents_async = awaited_read(filter_documents)
    count_documents_by_filter_async = awaited_read(count_documents_by_filter)
