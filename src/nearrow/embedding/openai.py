"""OpenAI: how does a model behind an OpenAI-compatible HTTP endpoint embed?

OPENAI_BASE_URL (default https://api.openai.com/v1) says where, OPENAI_API_KEY who asks. Ollama, vLLM, llama.cpp, LM Studio
and others speak the same. Neither address nor key is stored in a collection.
"""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from typing import Any

from nearrow.embedding.embedder import Embedder
from nearrow.errors import EmbeddingError

BASE_URL = "https://api.openai.com/v1"
TIMEOUT_SECONDS = 60.0
ATTEMPTS_MAX = 4
PAUSE_SECONDS = 0.5  # before the second attempt; doubled each time
PAUSE_SECONDS_MAX = 20.0
TRY_AGAIN = (408, 429, 500, 502, 503, 504)


def open_model(name: str, model: str) -> Embedder:
    """`model`: as the endpoint calls it. The first call comes with the first text."""
    return embedder(model, name=name)


def embedder(
    model: str, *, base_url: str | None = None, api_key: str | None = None, name: str | None = None
) -> Embedder:
    """A model behind an endpoint: for `embedding=`, where the address or the key is not in the environment."""

    def embed(texts: list[str]) -> Any:
        address = base_url or os.environ.get("OPENAI_BASE_URL") or BASE_URL
        key = api_key or os.environ.get("OPENAI_API_KEY")
        return _vectors(_post(f"{address.rstrip('/')}/embeddings", key, {"model": model, "input": texts}), len(texts))

    return Embedder(name or f"openai/{model}", embed, embed)


def _post(url: str, key: str | None, question: dict[str, Any]) -> Any:
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(url, json.dumps(question).encode(), headers)
    if request.type not in ("http", "https"):
        raise EmbeddingError(f"{url}: an endpoint is an http or https address; set OPENAI_BASE_URL")
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code not in TRY_AGAIN or attempt == ATTEMPTS_MAX:
                said = error.read(500).decode(errors="replace")
                hint = "; set OPENAI_API_KEY" if error.code in (401, 403) else ""
                raise EmbeddingError(f"{url}: {error.code} {error.reason}: {said}{hint}") from error
            time.sleep(_pause(attempt, error.headers.get("Retry-After")))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise EmbeddingError(f"{url}: {error}; is the endpoint running, and OPENAI_BASE_URL right?") from error
    raise AssertionError("every attempt returns, raises or pauses")


def _pause(attempt: int, retry_after: str | None) -> float:
    """Seconds to wait: what the endpoint asks for, or longer and longer; never beyond PAUSE_SECONDS_MAX."""
    asked = float(retry_after) if retry_after is not None and retry_after.isdigit() else 0.0
    return min(max(asked, PAUSE_SECONDS * 2.0 ** (attempt - 1)), PAUSE_SECONDS_MAX)


def _vectors(answer: Any, count: int) -> list[Any]:
    """The vectors in the order of the texts."""
    try:
        found = {int(entry["index"]): entry["embedding"] for entry in answer["data"]}
        return [found[position] for position in range(count)]
    except (KeyError, TypeError, ValueError) as error:
        raise EmbeddingError(
            f"the endpoint's answer is not one of /embeddings: {error!r} in {str(answer)[:200]}"
        ) from None
