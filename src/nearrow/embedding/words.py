"""Words: how is search(query="what a user types") answered?

The collection's model makes the vector of what was typed; where there are text fields the words are looked for too, and
both rankings are joined.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

from nearrow.embedding.embedder import Embedder
from nearrow.errors import InvalidArgumentError

P = ParamSpec("P")


def answers_words(search: Callable[P, Any]) -> Callable[P, Any]:
    """Give a search by vector and text the parameter `query`."""

    @functools.wraps(search)
    def in_words(*arguments: P.args, **keywords: P.kwargs) -> Any:
        query = keywords.pop("query", None)
        if query is None:
            return search(*arguments, **keywords)
        collection: Any = arguments[0]
        if len(arguments) > 1 or keywords.get("vector") is not None:
            raise InvalidArgumentError("give either query= (it is embedded) or a vector, and the rest by keyword")
        hybrid = bool(collection.config.text_fields) and keywords.get("negatives") is None
        if keywords.get("text") is None and hybrid:
            keywords["text"] = query
        while True:
            embedder: Embedder = collection._model()
            keywords["vector"] = _embedded(query, embedder)
            try:
                hits = search(*arguments, **keywords)
            except ValueError:  # also of the kernel, for another dimension
                if collection._model() is embedder:
                    raise
                continue  # reembed() has just changed over to another model
            if collection._model() is embedder:
                return hits

    return in_words


def _embedded(query: Any, embedder: Embedder) -> Any:
    """One vector for a text, a matrix for a list of texts."""
    if isinstance(query, str):
        return embedder.embed_queries([query])[0]
    if isinstance(query, (list, tuple)) and query and all(isinstance(text, str) for text in query):
        return embedder.embed_queries(list(query))
    raise InvalidArgumentError(f"query must be a text or a list of texts, not {query!r}")
