"""sentence-transformers: how does one of its models embed?"""

from __future__ import annotations

from typing import Any

from nearrow.embedding.embedder import Embedder
from nearrow.errors import EmbeddingError


def open_model(name: str, model: str) -> Embedder:
    """`model`: a name on the Hugging Face hub, or a folder. Models that tell queries from documents are asked apart."""
    from sentence_transformers import SentenceTransformer

    try:
        loaded = SentenceTransformer(model)
    except (OSError, ValueError) as error:
        raise EmbeddingError(f"sentence-transformers cannot load {model!r}: {error}") from error

    def documents(texts: list[str]) -> Any:
        encode = getattr(loaded, "encode_document", loaded.encode)
        return encode(texts, convert_to_numpy=True, show_progress_bar=False)

    def queries(texts: list[str]) -> Any:
        encode = getattr(loaded, "encode_query", loaded.encode)
        return encode(texts, convert_to_numpy=True, show_progress_bar=False)

    return Embedder(name, documents, queries)
