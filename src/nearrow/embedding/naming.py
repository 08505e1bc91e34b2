"""Naming: which adapter opens "model2vec/minishlab/potion-base-8M"?"""

from __future__ import annotations

import importlib
from typing import Any

from nearrow.embedding.embedder import Embedder
from nearrow.errors import EmbeddingError, InvalidArgumentError
from nearrow.schema import nearest_name

ADAPTERS = {  # prefix → (the module below, the package that it needs)
    "fastembed": ("fastembed", "fastembed"),
    "model2vec": ("model2vec", "model2vec"),
    "openai": ("openai", None),
    "sentence-transformers": ("sentence_transformers", "sentence-transformers"),
}


def is_named(name: str) -> bool:
    """Whether an adapter can open a model by this name."""
    return name.partition("/")[0] in ADAPTERS and bool(name.partition("/")[2])


def open_named(name: str) -> Embedder:
    """The model of that name; its library is imported now. EmbeddingError if it is missing or cannot load the model."""
    prefix, _, model = name.partition("/")
    if prefix not in ADAPTERS or not model:
        hint = nearest_name(prefix, ADAPTERS)
        raise InvalidArgumentError(
            f"no embedding adapter for {name!r}{hint}; write 'adapter/model', or give a function"
        )
    module, package = ADAPTERS[prefix]
    adapter: Any = importlib.import_module(f"nearrow.embedding.{module}")
    try:
        opened: Embedder = adapter.open_model(name, model)
    except ImportError as error:
        raise EmbeddingError(f"{name!r} needs a package that is missing ({error}): pip install {package}") from error
    return opened
