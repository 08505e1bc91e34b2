"""LangChain: how is a collection a VectorStore, and a retriever?

store = NearrowVectorStore(embeddings, connection="./library")
store.add_texts(["…"], [{"year": 2024}])
store.similarity_search("…", k=4, filter={"year": {"$gte": 2020}})
store.as_retriever(search_type="hybrid")
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar
from uuid import uuid4

import numpy as np
from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore, VectorStoreRetriever
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from nearrow.awaitable import awaited_write
from nearrow.database import Database
from nearrow.embedding.embedder import Embedder
from nearrow.errors import InvalidArgumentError
from nearrow.hits import Hits
from nearrow.integrations.documents import TEXT_COLUMN, DocumentRows, opened
from nearrow.integrations.langchain_filter import where_of
from nearrow.integrations.metadata import JSON_COLUMN

FETCHED = [TEXT_COLUMN, JSON_COLUMN]
Scored = list[tuple[Document, float]]


def embedder_of_embeddings(embeddings: Embeddings) -> Embedder:
    """LangChain's embeddings as Nearrow's: documents and queries apart."""
    kind = type(embeddings)
    name = f"{kind.__module__}.{kind.__qualname__}"
    return Embedder(name, embeddings.embed_documents, lambda texts: [embeddings.embed_query(text) for text in texts])


class NearrowVectorStore(VectorStore):
    """Documents in a collection.

    connection: a directory, ":memory:", or an open Database. settings: of `create_collection`, such as metric="dot".
    Scores of `similarity_search_with_score` are distances: smaller is nearer. Filters are in MongoDB's spelling over
    metadata keys, {"year": {"$gte": 2020}}, or anything else that `Collection.search` takes as `where`.
    The embedding model is remembered: EmbeddingError if the collection was filled with another one.
    """

    def __init__(
        self,
        embedding: Embeddings,
        *,
        connection: str | os.PathLike[str] | Database = ":memory:",
        collection_name: str = "langchain",
        **settings: Any,
    ) -> None:
        self._embeddings = embedding
        self.database = opened(connection)
        self.collection = self.database.get_or_create_collection(
            collection_name, embedding=embedder_of_embeddings(embedding), **{"text_fields": [TEXT_COLUMN], **settings}
        )
        self._rows = DocumentRows(self.collection)

    @property
    def embeddings(self) -> Embeddings:
        return self._embeddings

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **settings: Any,
    ) -> NearrowVectorStore:
        """A store with these texts; settings as in the constructor."""
        store = cls(embedding, **settings)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    # ---- writing

    def add_texts(
        self,
        /,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **_: Any,
    ) -> list[str]:
        """Add texts, or replace those with these ids, as one atomic batch; returns the ids, new ones where none is given."""
        given = list(texts)
        metadatas = [{}] * len(given) if metadatas is None else metadatas
        named = [None] * len(given) if ids is None else list(ids)
        if not len(given) == len(metadatas) == len(named):
            raise InvalidArgumentError(
                f"{len(given)} texts, {len(metadatas)} metadatas and {len(named)} ids; give one of each for each text"
            )
        kept = [name or uuid4().hex for name in named]
        self._rows.put(kept, given, metadatas, None)
        return kept

    def delete(self, /, ids: list[str] | None = None, **_: Any) -> bool:
        """Delete documents by id, those that exist; without ids: all."""
        if ids is None:
            self._rows.clear()
        elif ids:
            self.collection.delete(ids)
        return True

    aadd_texts = awaited_write(add_texts)
    adelete = awaited_write(delete)

    # ---- reading

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents with these ids, in their order; missing ones are absent."""
        if not ids or not len(self.collection):
            return []
        return [self._document(row) for row in self.collection.get(list(ids), ["id", *FETCHED]).to_pylist()]

    def similarity_search(self, query: str, k: int = 4, filter: Any = None, **settings: Any) -> list[Document]:
        """The k nearest documents. settings: of `Collection.search`, such as ef_search=, target_recall= or exact=."""
        return [document for document, _ in self.similarity_search_with_score(query, k, filter, **settings)]

    def similarity_search_with_score(self, query: str, k: int = 4, filter: Any = None, **settings: Any) -> Scored:
        """Like `similarity_search`, each with its distance."""
        return self._nearest(self._embeddings.embed_query(query), k, filter, settings)

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, filter: Any = None, **settings: Any
    ) -> list[Document]:
        """The k documents nearest to a vector."""
        return [document for document, _ in self._nearest(embedding, k, filter, settings)]

    def hybrid_search(self, query: str, k: int = 4, filter: Any = None, **settings: Any) -> list[Document]:
        """The k best by vector and by words together. settings: fusion="rrf", Weighted(0.7, 0.3), …"""
        return [document for document, _ in self.hybrid_search_with_score(query, k, filter, **settings)]

    def hybrid_search_with_score(self, query: str, k: int = 4, filter: Any = None, **settings: Any) -> Scored:
        """Like `hybrid_search`, each with its combined score: higher is better."""
        hits = self._search(self._embeddings.embed_query(query), k, filter, {"text": query, **settings})
        return [(self._document(hit), hit.score) for hit in hits]

    def text_search(self, query: str, k: int = 4, filter: Any = None, **settings: Any) -> list[Document]:
        """The k best by words alone (BM25)."""
        return [self._document(hit) for hit in self._search(None, k, filter, {"text": query, **settings})]

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Any = None,
        **settings: Any,
    ) -> list[Document]:
        """k of the fetch_k nearest, chosen to be near and unlike each other; lambda_mult 1: only near, 0: only unlike."""
        vector = self._embeddings.embed_query(query)
        return self.max_marginal_relevance_search_by_vector(vector, k, fetch_k, lambda_mult, filter, **settings)

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Any = None,
        **settings: Any,
    ) -> list[Document]:
        """Like `max_marginal_relevance_search`, by a vector."""
        hits = self._search(
            embedding, max(k, fetch_k), filter, {**settings, "columns": self._rows.known([*FETCHED, "vector"])}
        )
        if not len(hits):
            return []
        vectors = [hit["vector"] for hit in hits]
        chosen = maximal_marginal_relevance(np.asarray(embedding, np.float32), vectors, lambda_mult, k)
        return [self._document(hits[position]) for position in chosen]

    def _similarity_search_with_relevance_scores(self, query: str, k: int = 4, **settings: Any) -> Scored:
        """Relevance from 0 to 1: the cosine (at least 0), 1 / (1 + l2 distance), or the logistic of a dot product."""
        hits = self._search(self._embeddings.embed_query(query), k, settings.pop("filter", None), settings)
        logistic = self.collection.config.metric == "dot"
        scores = 1.0 / (1.0 + np.exp(-hits.scores)) if logistic else np.clip(hits.scores, 0.0, 1.0)
        return [(self._document(hit), float(score)) for hit, score in zip(hits, scores, strict=True)]

    async def _asimilarity_search_with_relevance_scores(self, query: str, k: int = 4, **settings: Any) -> Scored:
        return await asyncio.to_thread(self._similarity_search_with_relevance_scores, query, k, **settings)

    def as_retriever(self, **settings: Any) -> NearrowRetriever:
        """search_type: "similarity", "similarity_score_threshold", "mmr", "hybrid" or "text"; k; search_kwargs."""
        return NearrowRetriever(
            vectorstore=self, tags=[*(settings.pop("tags", None) or []), *self._get_retriever_tags()], **settings
        )

    # ---- inside

    def _nearest(self, vector: list[float], k: int, filter: Any, settings: dict[str, Any]) -> Scored:
        return [(self._document(hit), hit.distance) for hit in self._search(vector, k, filter, settings)]

    def _search(self, vector: list[float] | None, k: int, filter: Any, settings: dict[str, Any]) -> Hits:
        where = where_of(filter, self._rows.conditions())
        hits: Hits = self.collection.search(
            vector, k=k, where=where, **{"columns": self._rows.known(FETCHED), **settings}
        )
        return hits

    def _document(self, row: Any) -> Document:
        identifier = row["id"] if isinstance(row, dict) else row.id
        return Document(id=identifier, page_content=row[TEXT_COLUMN] or "", metadata=self._rows.metadata_of(row))


class NearrowRetriever(VectorStoreRetriever):
    """Retrieves by "similarity", "similarity_score_threshold", "mmr", "hybrid" or "text"."""

    k: int = 4
    """How many documents; `invoke(query, k=…)` and search_kwargs={"k": …} win."""

    allowed_search_types: ClassVar[Sequence[str]] = (
        "similarity",
        "similarity_score_threshold",
        "mmr",
        "hybrid",
        "text",
    )

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **settings: Any
    ) -> list[Document]:
        settings = {"k": self.k, **self.search_kwargs, **settings}
        store: Any = self.vectorstore
        if self.search_type == "hybrid":
            return list(store.hybrid_search(query, **settings))
        if self.search_type == "text":
            return list(store.text_search(query, **settings))
        return super()._get_relevant_documents(query, run_manager=run_manager, **settings)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **settings: Any
    ) -> list[Document]:
        return await asyncio.to_thread(
            self._get_relevant_documents, query, run_manager=run_manager.get_sync(), **settings
        )
