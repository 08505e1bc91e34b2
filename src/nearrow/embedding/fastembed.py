"""fastembed: how does one of its ONNX models embed?"""

from __future__ import annotations

from typing import Any

from nearrow.embedding.embedder import Embedder
from nearrow.errors import EmbeddingError


def open_model(name: str, model: str) -> Embedder:
    """`model`: one that fastembed supports, or was told of with `TextEmbedding.add_custom_model`."""
    from fastembed import TextEmbedding

    try:
        loaded = TextEmbedding(model_name=model)
    except (OSError, ValueError, RuntimeError) as error:
        raise EmbeddingError(f"fastembed cannot load {model!r}: {error}") from error

    def documents(texts: list[str]) -> Any:
        return list(loaded.embed(texts))

    def queries(texts: list[str]) -> Any:
        return list(loaded.query_embed(texts))

    return Embedder(name, documents, queries)
