"""LangChain: does the store pass LangChain's own suites, and what they do not ask?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("langchain_tests", reason="needs langchain-tests: pip install 'nearrow[integrations-test]'")
pytest.importorskip("pytest_asyncio")

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import RetrieversIntegrationTests, VectorStoreIntegrationTests

from embedding.word_vectors import word_vectors
from nearrow.errors import EmbeddingError, FilterError, InvalidArgumentError
from nearrow.integrations.langchain import NearrowRetriever, NearrowVectorStore


class Words(Embeddings):
    """Texts that share words are near each other."""

    def __init__(self, salt: str = "") -> None:
        self._embed = word_vectors(64, salt)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self._embed(texts).tolist()

    def embed_query(self, text: str) -> list[float]:
        return self._embed([text])[0].tolist()


TEXTS = [
    "Rust has no garbage collector",
    "Python has a garbage collector",
    "The violin has four strings",
    "The cello is larger than the violin",
]
METADATAS: list[dict[str, Any]] = [
    {"year": 2015, "tags": ["systems"], "kind": "language"},
    {"year": 1991, "tags": ["scripts", "systems"], "kind": "language", "nested": {"a": [1, None]}},
    {"year": "about 1530", "tags": [], "kind": "instrument", "strings": 4},
    {"kind": "instrument", "strings": 4.0, "made": None},
]


class TestVectorStoreSuite(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, tmp_path: Path) -> Iterator[VectorStore]:
        store = NearrowVectorStore(self.get_embeddings(), connection=tmp_path)
        yield store
        store.database.close()


class TestRetrieverSuite(RetrieversIntegrationTests):
    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return NearrowRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"vectorstore": NearrowVectorStore.from_texts(TEXTS, Words()), "search_type": "hybrid"}

    @property
    def retriever_query_example(self) -> str:
        return "garbage collector"


@pytest.fixture
def store() -> NearrowVectorStore:
    return NearrowVectorStore.from_texts(TEXTS, Words(), METADATAS, ids=["rust", "python", "violin", "cello"])


def ids(documents: list[Document]) -> set[str | None]:
    return {document.id for document in documents}


def test_metadata_comes_back_as_it_was(store: NearrowVectorStore) -> None:
    found = store.get_by_ids(["cello", "python", "rust", "violin"])
    assert [document.metadata for document in found] == [METADATAS[3], METADATAS[1], METADATAS[0], METADATAS[2]]


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"kind": "language"}, {"rust", "python"}),
        ({"year": {"$gte": 2000}}, {"rust"}),
        ({"year": "about 1530"}, {"violin"}),
        ({"year": {"$ne": 1991}}, {"rust", "violin", "cello"}),
        ({"strings": 4}, {"violin", "cello"}),
        ({"strings": {"$exists": False}}, {"rust", "python"}),
        ({"tags": {"$contains": "systems"}}, {"rust", "python"}),
        ({"tags": {"$all": ["systems", "scripts"]}}, {"python"}),
        ({"kind": {"$regex": "^inst"}}, {"violin", "cello"}),
        ({"kind": {"$in": ["language"]}, "year": {"$lt": 2000}}, {"python"}),
        ({"$or": [{"year": 2015}, {"strings": {"$gt": 3.5}}]}, {"rust", "violin", "cello"}),
        ({"$not": {"kind": "language"}}, {"violin", "cello"}),
        ({"nobody has this": 1}, set()),
        ({"nested": {"$exists": True}}, {"python"}),
        ("kind = 'instrument'", {"violin", "cello"}),
    ],
)
def test_filters_mean_what_they_say(store: NearrowVectorStore, filter: Any, expected: set[str]) -> None:
    assert ids(store.similarity_search("anything", k=10, filter=filter)) == expected


def test_a_wrong_filter_is_named(store: NearrowVectorStore) -> None:
    with pytest.raises(FilterError, match="unknown operator '\\$gtt'"):
        store.similarity_search("x", filter={"year": {"$gtt": 1}})


def test_scores_are_distances_and_relevance_is_from_0_to_1(store: NearrowVectorStore) -> None:
    scored = store.similarity_search_with_score("The violin has four strings", k=4)
    assert scored[0][0].id == "violin"
    assert scored[0][1] == pytest.approx(0.0, abs=1e-5)
    assert [score for _, score in scored] == sorted(score for _, score in scored)
    relevant = store.similarity_search_with_relevance_scores("The violin has four strings", k=4)
    assert relevant[0][1] == pytest.approx(1.0, abs=1e-5)
    assert all(0 <= score <= 1 for _, score in relevant)


def test_mmr_prefers_unlike_documents(store: NearrowVectorStore) -> None:
    store.add_texts(["Python has a garbage collector"], ids=["python again"])
    near = store.similarity_search("Python garbage collector", k=2)
    apart = store.max_marginal_relevance_search("Python garbage collector", k=2, lambda_mult=0.1)
    assert ids(near) == {"python", "python again"}
    assert ids(apart) != ids(near)


def test_hybrid_and_text_find_words(store: NearrowVectorStore) -> None:
    assert store.hybrid_search("garbage collector of Python", k=1)[0].id == "python"
    assert ids(store.text_search("cello", k=4)) == {"cello"}
    assert (
        store.hybrid_search_with_score("violin", k=2, filter={"kind": "language"})[0][0].metadata["kind"] == "language"
    )


@pytest.mark.parametrize("search_type", ["similarity", "mmr", "hybrid", "text"])
async def test_every_retriever_finds_the_violin(store: NearrowVectorStore, search_type: str) -> None:
    retriever = store.as_retriever(search_type=search_type, search_kwargs={"k": 2})
    assert "violin" in ids(retriever.invoke("violin strings"))
    assert "violin" in ids(await retriever.ainvoke("violin strings"))


def test_a_threshold_is_kept(store: NearrowVectorStore) -> None:
    retriever = store.as_retriever(
        search_type="similarity_score_threshold", search_kwargs={"k": 4, "score_threshold": 0.99}
    )
    assert ids(retriever.invoke("The violin has four strings")) == {"violin"}


def test_delete_without_ids_deletes_all(store: NearrowVectorStore) -> None:
    store.delete(["rust"])
    assert len(store.collection) == 3
    store.delete()
    assert store.similarity_search("violin") == []


def test_it_is_kept_and_another_model_is_refused(tmp_path: Path) -> None:
    store = NearrowVectorStore.from_texts(TEXTS, Words(), METADATAS, connection=tmp_path)
    store.database.close()
    again = NearrowVectorStore(Words(), connection=tmp_path)
    assert len(again.similarity_search("violin", k=10)) == 4
    again.database.close()
    with pytest.raises(EmbeddingError, match="were made by"):
        NearrowVectorStore(Words("another"), connection=tmp_path)


def test_unequal_lengths_are_refused(store: NearrowVectorStore) -> None:
    with pytest.raises(InvalidArgumentError, match="2 texts, 1 metadatas"):
        store.add_texts(["a", "b"], [{}])
