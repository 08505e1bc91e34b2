"""Retrievers: how does a Haystack pipeline ask a store?"""

from __future__ import annotations

import asyncio
from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.document_stores.types import FilterPolicy, apply_filter_policy

from nearrow.integrations.haystack.document_store import NearrowDocumentStore


class _Retriever:
    """What the retrievers share: a store, filters, how many, and how they are written to a file."""

    def __init__(
        self,
        document_store: NearrowDocumentStore,
        *,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        filter_policy: FilterPolicy | str = FilterPolicy.REPLACE,
        search_settings: dict[str, Any] | None = None,
    ) -> None:
        """search_settings: of `Collection.search`, such as {"target_recall": 0.99} or {"fusion": "weighted"}."""
        if not isinstance(document_store, NearrowDocumentStore):
            raise ValueError(f"document_store must be a NearrowDocumentStore, not {type(document_store).__name__}")
        self.document_store = document_store
        self.filters = filters or {}
        self.top_k = top_k
        self.filter_policy = FilterPolicy.from_str(filter_policy) if isinstance(filter_policy, str) else filter_policy
        self.search_settings = search_settings or {}

    def to_dict(self) -> dict[str, Any]:
        """For pipelines that are written to a file."""
        described: dict[str, Any] = default_to_dict(
            self,
            document_store=self.document_store.to_dict(),
            filters=self.filters,
            top_k=self.top_k,
            filter_policy=self.filter_policy.value,
            search_settings=self.search_settings,
        )
        return described

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        """The inverse of `to_dict`."""
        store = data["init_parameters"]["document_store"]
        if not isinstance(store, NearrowDocumentStore):
            data["init_parameters"]["document_store"] = NearrowDocumentStore.from_dict(store)
        return default_from_dict(cls, data)

    def _search(self, filters: dict[str, Any] | None, top_k: int | None, **question: Any) -> dict[str, list[Document]]:
        found = self.document_store.search(
            filters=apply_filter_policy(self.filter_policy, self.filters, filters),
            top_k=top_k or self.top_k,
            **self.search_settings,
            **question,
        )
        return {"documents": found}


@component
class NearrowEmbeddingRetriever(_Retriever):
    """The documents whose embeddings are nearest."""

    @component.output_types(documents=list[Document])
    def run(
        self, query_embedding: list[float], filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """The best documents, best first; `score` is higher for nearer ones."""
        return self._search(filters, top_k, embedding=query_embedding)

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query_embedding: list[float], filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Like `run`, in a thread."""
        return await asyncio.to_thread(self._search, filters, top_k, embedding=query_embedding)


@component
class NearrowBM25Retriever(_Retriever):
    """The documents whose content has the words of the query."""

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """The best documents, best first; `score` is BM25."""
        return self._search(filters, top_k, query=query)

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Like `run`, in a thread."""
        return await asyncio.to_thread(self._search, filters, top_k, query=query)


@component
class NearrowHybridRetriever(_Retriever):
    """The best documents by embedding and words together."""

    @component.output_types(documents=list[Document])
    def run(
        self,
        query: str,
        query_embedding: list[float],
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
    ) -> dict[str, list[Document]]:
        """The best documents, best first; `score` is the combined one."""
        return self._search(filters, top_k, query=query, embedding=query_embedding)

    @component.output_types(documents=list[Document])
    async def run_async(
        self,
        query: str,
        query_embedding: list[float],
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
    ) -> dict[str, list[Document]]:
        """Like `run`, in a thread."""
        return await asyncio.to_thread(self._search, filters, top_k, query=query, embedding=query_embedding)
