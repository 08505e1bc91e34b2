"""model2vec: how does one of its static models embed?"""

from __future__ import annotations

from nearrow.embedding.embedder import Embedder
from nearrow.errors import EmbeddingError

BATCH_TEXTS = 1024  # a static model looks words up: large batches cost nothing


def open_model(name: str, model: str) -> Embedder:
    """`model`: a name on the Hugging Face hub, or a folder."""
    from model2vec import StaticModel

    try:
        loaded = StaticModel.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise EmbeddingError(f"model2vec cannot load {model!r}: {error}") from error
    return Embedder(name, loaded.encode, loaded.encode, BATCH_TEXTS)
