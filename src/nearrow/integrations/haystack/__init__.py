"""Haystack: how is a collection a DocumentStore, and how do its retrievers ask it?

store = NearrowDocumentStore("./library", embedding_dim=384)
pipeline.add_component("retriever", NearrowHybridRetriever(store, top_k=5))
"""

from nearrow.integrations.haystack.document_store import NearrowDocumentStore
from nearrow.integrations.haystack.retrievers import (
    NearrowBM25Retriever,
    NearrowEmbeddingRetriever,
    NearrowHybridRetriever,
)

__all__ = ["NearrowBM25Retriever", "NearrowDocumentStore", "NearrowEmbeddingRetriever", "NearrowHybridRetriever"]
