"""Haystack documents: how does a Document become a row, and a row a Document?

A row needs a vector, and a Document need not have one: it gets a vector that points nowhere in particular, and a mark, by
which searches for vectors leave it out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from haystack import Document

from nearrow.integrations.documents import TEXT_COLUMN
from nearrow.integrations.metadata import JSON_COLUMN, from_json

EMBEDDED_COLUMN = "has_embedding"
REST_COLUMN = "document_json"  # blob and sparse embedding
FETCHED = [TEXT_COLUMN, JSON_COLUMN, EMBEDDED_COLUMN, REST_COLUMN, "vector"]


def checked(documents: Any) -> list[Document]:
    """A list of Documents; ValueError, as Haystack wants it, for anything else."""
    if not isinstance(documents, list) or not all(isinstance(document, Document) for document in documents):
        raise ValueError(f"write_documents takes a list of Documents, not {documents!r:.60}")
    return documents


def vectors_of(documents: Sequence[Document], dimension: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """float32 [documents, dimension]; ValueError names the document whose embedding is of another size."""
    vectors = np.zeros((len(documents), dimension), np.float32)
    vectors[:, 0] = 1.0  # of documents without an embedding: any direction will do, none is none
    for row, document in enumerate(documents):
        if document.embedding is None:
            continue
        if len(document.embedding) != dimension:
            raise ValueError(
                f"document {document.id!r} has an embedding of {len(document.embedding)} numbers, the store takes "
                f"{dimension}; make the store with embedding_dim={len(document.embedding)}"
            )
        vectors[row] = document.embedding
    return vectors


def others_of(documents: Sequence[Document]) -> dict[str, list[Any]]:
    """The columns besides id, text, metadata and vector."""
    return {
        EMBEDDED_COLUMN: [document.embedding is not None for document in documents],
        REST_COLUMN: [_rest(document) for document in documents],
    }


def _rest(document: Document) -> str:
    whole = document.to_dict(flatten=False)
    return json.dumps({name: whole[name] for name in ("blob", "sparse_embedding") if whole.get(name) is not None})


def document_of(row: Mapping[str, Any] | Any, score: float | None = None) -> Document:
    """The Document of a hit, or of a row as a dict."""
    identifier = row["id"]
    fields = {
        "id": identifier,
        "content": row[TEXT_COLUMN],
        "meta": from_json(row[JSON_COLUMN]),
        "embedding": row["vector"] if row[EMBEDDED_COLUMN] else None,
        "score": score,
        **json.loads(row[REST_COLUMN] or "{}"),
    }
    found: Document = Document.from_dict(fields)
    return found
