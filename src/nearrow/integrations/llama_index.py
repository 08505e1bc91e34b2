"""LlamaIndex: how is a collection a vector store of nodes?

store = NearrowVectorStore(connection="./library", dimension=384)
index = VectorStoreIndex(nodes, storage_context=StorageContext.from_defaults(vector_store=store))
index.as_retriever(vector_store_query_mode="hybrid")
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode, MetadataMode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

from nearrow.awaitable import awaited_read, awaited_write
from nearrow.collection import Collection
from nearrow.database import Database
from nearrow.errors import InvalidArgumentError
from nearrow.hits import Hits
from nearrow.integrations.conditions import Conditions, Where, all_of, any_of, negated
from nearrow.integrations.documents import TEXT_COLUMN, DocumentRows, matrix, opened
from nearrow.query.fusion import Weighted

NODE_COLUMN, REFERENCE_COLUMN = "node_json", "ref_doc_id"
FETCHED = [TEXT_COLUMN, NODE_COLUMN]
MODES = VectorStoreQueryMode


class NearrowVectorStore(BasePydanticVectorStore):
    """Nodes in a collection.

    connection: a directory, ":memory:", a server's address, or an open Database. dimension: of the embeddings; without
    it the first nodes tell. settings: of `create_collection`, such as metric="dot".
    Modes: default, sparse and text_search (BM25), hybrid and semantic_hybrid (alpha: 1 is all vector, 0 all words;
    without it ranks are joined), mmr. Similarities are scores: higher is better.
    """

    stores_text: bool = True
    is_embedding_query: bool = True
    collection_name: str = "llama_index"

    _database: Database = PrivateAttr()
    _settings: dict[str, Any] = PrivateAttr()
    _rows: DocumentRows | None = PrivateAttr(default=None)

    def __init__(
        self,
        connection: str | os.PathLike[str] | Database = ":memory:",
        *,
        collection_name: str = "llama_index",
        dimension: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(collection_name=collection_name)
        self._database = opened(connection)
        self._settings = {"text_fields": [TEXT_COLUMN], **settings}
        if dimension is not None or collection_name in self._database.collections():
            self._open(dimension)

    @classmethod
    def class_name(cls) -> str:
        return "NearrowVectorStore"

    @property
    def client(self) -> Database:
        """The database."""
        return self._database

    @property
    def collection(self) -> Collection | None:
        """The collection; None until the first nodes tell its dimension."""
        return None if self._rows is None else self._rows.collection

    def _open(self, dimension: int | None) -> DocumentRows:
        if self._rows is None:
            name = self.collection_name
            collection = self._database.get_or_create_collection(name, dimension, **self._settings)
            self._rows = DocumentRows(collection, (NODE_COLUMN, REFERENCE_COLUMN))
        return self._rows

    # ---- writing

    def add(self, /, nodes: Sequence[BaseNode], **_: Any) -> list[str]:
        """Add nodes with their embeddings, or replace those with the same ids, as one atomic batch; returns the ids."""
        if not nodes:
            return []
        rows = self._open(len(nodes[0].get_embedding()))
        described = [node_to_metadata_dict(node, remove_text=True) for node in nodes]
        others = {
            NODE_COLUMN: [json.dumps([each["_node_type"], each["_node_content"]]) for each in described],
            REFERENCE_COLUMN: [node.ref_doc_id or "" for node in nodes],
        }
        ids = [node.node_id for node in nodes]
        texts = [node.get_content(metadata_mode=MetadataMode.NONE) or "" for node in nodes]
        vectors = matrix([node.get_embedding() for node in nodes])
        rows.put(ids, texts, [node.metadata for node in nodes], vectors, others=others)
        return ids

    def delete(self, /, ref_doc_id: str, **_: Any) -> None:
        """Delete the nodes of a document."""
        if self._rows is not None and len(self._rows.collection):
            self._rows.collection.delete(where={REFERENCE_COLUMN: ref_doc_id})

    def delete_nodes(
        self, /, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **_: Any
    ) -> None:
        """Delete nodes by id, by a filter, or those of the ids that match it."""
        where = self._where(filters, node_ids=node_ids)
        if where is not None and self._rows is not None:
            self._rows.collection.delete(where=where)

    def clear(self) -> None:
        """Delete all nodes."""
        if self._rows is not None:
            self._rows.clear()

    async_add = awaited_write(add)
    adelete = awaited_write(delete)
    adelete_nodes = awaited_write(delete_nodes)
    aclear = awaited_write(clear)

    # ---- reading

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """Nodes with their embeddings, by id, by a filter, both, or all."""
        if self._rows is None or not len(self._rows.collection):
            return []
        columns = ["id", "vector", *FETCHED]
        rows = self._rows.collection.scan(self._where(filters, node_ids=node_ids), columns).read_all().to_pylist()
        nodes = []
        for row in rows:
            node = _node(row)
            node.embedding = row["vector"]
            nodes.append(node)
        return nodes

    def query(self, /, query: VectorStoreQuery, **settings: Any) -> VectorStoreQueryResult:
        """The best nodes. settings: of `Collection.search`, such as ef_search= or fusion=."""
        if self._rows is None or not len(self._rows.collection):
            return VectorStoreQueryResult(nodes=[], similarities=[], ids=[])
        named = {"node_ids": query.node_ids or None, "doc_ids": query.doc_ids or None}  # an index gives [] for any
        where = self._where(query.filters, **named)
        arguments = {"where": where, "columns": FETCHED, "k": query.similarity_top_k, **_of_mode(query), **settings}
        hits: Hits = self._rows.collection.search(**arguments)
        return VectorStoreQueryResult(
            nodes=[_node(hit) for hit in hits], similarities=[hit.score for hit in hits], ids=[hit.id for hit in hits]
        )

    aget_nodes = awaited_read(get_nodes)
    aquery = awaited_read(query)

    def _where(
        self,
        filters: MetadataFilters | None,
        *,
        node_ids: Sequence[str] | None = None,
        doc_ids: Sequence[str] | None = None,
    ) -> Where | None:
        clauses: list[Where] = []
        if node_ids is not None:
            clauses.append({"id": {"$in": list(node_ids)}})
        if doc_ids is not None:
            clauses.append({REFERENCE_COLUMN: {"$in": list(doc_ids)}})
        if filters is not None and filters.filters and self._rows is not None:
            clauses.append(where_of(filters, self._rows.conditions()))
        return all_of(clauses) if clauses else None


def _of_mode(query: VectorStoreQuery) -> dict[str, Any]:
    """The arguments of a search that a query's mode stands for."""
    mode = query.mode
    vector = None if query.query_embedding is None else np.asarray(query.query_embedding, np.float32)
    if mode in (MODES.DEFAULT, MODES.MMR) and vector is None:
        raise InvalidArgumentError(f"mode {mode.value!r} needs query_embedding")
    if mode in (MODES.SPARSE, MODES.TEXT_SEARCH, MODES.HYBRID, MODES.SEMANTIC_HYBRID) and query.query_str is None:
        raise InvalidArgumentError(f"mode {mode.value!r} needs query_str")
    if mode is MODES.DEFAULT:
        return {"vector": vector}
    if mode is MODES.MMR:
        threshold = 0.5 if query.mmr_threshold is None else query.mmr_threshold
        return {"vector": vector, "diversity": 1.0 - threshold}
    if mode in (MODES.SPARSE, MODES.TEXT_SEARCH):
        return {"text": query.query_str, "k": query.sparse_top_k or query.similarity_top_k}
    if mode in (MODES.HYBRID, MODES.SEMANTIC_HYBRID):
        fusion = "rrf" if query.alpha is None else Weighted(query.alpha, 1.0 - query.alpha)
        k = query.hybrid_top_k or query.similarity_top_k
        return {"vector": vector, "text": query.query_str, "fusion": fusion, "k": k}
    raise InvalidArgumentError(f"mode {mode.value!r} trains a model over all vectors, which a vector store does not")


def _node(row: Any) -> BaseNode:
    kind, content = json.loads(row[NODE_COLUMN])
    return metadata_dict_to_node({"_node_type": kind, "_node_content": content}, text=row[TEXT_COLUMN])


def where_of(filters: MetadataFilters, conditions: Conditions) -> Where:
    """A filter of LlamaIndex as one over columns."""
    clauses = [
        where_of(each, conditions) if isinstance(each, MetadataFilters) else _condition(each, conditions)
        for each in filters.filters
    ]
    if filters.condition is FilterCondition.OR:
        return any_of(clauses)
    return negated(all_of(clauses)) if filters.condition is FilterCondition.NOT else all_of(clauses)


def _condition(filter: MetadataFilter, conditions: Conditions) -> Where:
    key, value, operator = filter.key, filter.value, filter.operator
    if operator is FilterOperator.EQ:
        return conditions.equals(key, value)
    if operator is FilterOperator.NE:
        return negated(conditions.equals(key, value))
    if operator in ORDERED:
        return conditions.ordered(key, ORDERED[operator], value)
    if operator is FilterOperator.IS_EMPTY:
        return negated(conditions.exists(key))
    if operator is FilterOperator.CONTAINS:
        return conditions.has(key, value)
    if operator is FilterOperator.TEXT_MATCH:
        return conditions.has_text(key, str(value))
    if operator is FilterOperator.TEXT_MATCH_INSENSITIVE:
        return conditions.matches(key, {"$regex": f"(?i){re.escape(str(value))}"})
    return LISTS[operator](conditions, key, value if isinstance(value, list) else [value])


ORDERED = {
    FilterOperator.GT: "gt",
    FilterOperator.GTE: "gte",
    FilterOperator.LT: "lt",
    FilterOperator.LTE: "lte",
}
LISTS: dict[FilterOperator, Callable[[Conditions, str, list[Any]], Where]] = {
    FilterOperator.IN: lambda conditions, key, values: conditions.is_in(key, values),
    FilterOperator.NIN: lambda conditions, key, values: negated(conditions.is_in(key, values)),
    FilterOperator.ANY: lambda conditions, key, values: conditions.has_any(key, values),
    FilterOperator.ALL: lambda conditions, key, values: conditions.has_all(key, values),
}
