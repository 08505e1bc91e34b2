"""Haystack: does the store pass Haystack's own suites, and do its retrievers work in a pipeline?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("haystack", reason="needs haystack-ai: pip install 'nearrow[integrations-test]'")
pytest.importorskip("pytest_asyncio")

from haystack import Document, Pipeline
from haystack.dataclasses import ByteStream, SparseEmbedding
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from haystack.errors import FilterError
from haystack.testing import document_store as suite
from haystack.testing import document_store_async as async_suite

from embedding.word_vectors import word_vectors
from nearrow.integrations.haystack import (
    NearrowBM25Retriever,
    NearrowDocumentStore,
    NearrowEmbeddingRetriever,
    NearrowHybridRetriever,
)


class StoreFixture:
    @pytest.fixture
    def document_store(self, tmp_path: Path) -> Iterator[NearrowDocumentStore]:
        store = NearrowDocumentStore(tmp_path)
        yield store
        store.database.close()

    @staticmethod
    def assert_documents_are_equal(received: list[Document], expected: list[Document]) -> None:
        """The suite's own hook for stores that give back not exactly what they got: embeddings are kept as float32."""
        assert len(received) == len(expected)
        for got, wanted in zip(received, expected, strict=True):
            assert (got.embedding is None) == (wanted.embedding is None)
            if wanted.embedding is not None:
                assert np.array_equal(got.embedding, np.float32(wanted.embedding))
            assert dataclasses.replace(got, embedding=None) == dataclasses.replace(wanted, embedding=None)


class TestStoreSuite(
    StoreFixture,
    suite.DocumentStoreBaseExtendedTests,
    suite.CountDocumentsByFilterTest,
    suite.CountUniqueMetadataByFilterTest,
    suite.GetMetadataFieldsInfoTest,
    suite.GetMetadataFieldMinMaxTest,
    suite.GetMetadataFieldUniqueValuesTest,
):
    def test_write_documents(self, document_store: NearrowDocumentStore) -> None:
        """The suite leaves the default policy to each store: here an id that exists is refused."""
        documents = [Document(content="one"), Document(content="two")]
        assert document_store.write_documents(documents) == 2
        with pytest.raises(DuplicateDocumentError):
            document_store.write_documents(documents)
        self.assert_documents_are_equal(document_store.filter_documents(), documents)


class TestAsyncStoreSuite(
    StoreFixture,
    async_suite.CountDocumentsAsyncTest,
    async_suite.CountDocumentsByFilterAsyncTest,
    async_suite.CountUniqueMetadataByFilterAsyncTest,
    async_suite.DeleteAllAsyncTest,
    async_suite.DeleteByFilterAsyncTest,
    async_suite.DeleteDocumentsAsyncTest,
    async_suite.FilterDocumentsAsyncTest,
    async_suite.GetMetadataFieldMinMaxAsyncTest,
    async_suite.GetMetadataFieldsInfoAsyncTest,
    async_suite.GetMetadataFieldUniqueValuesAsyncTest,
    async_suite.UpdateByFilterAsyncTest,
    async_suite.WriteDocumentsAsyncTest,
):
    async def test_write_documents_async(self, document_store: NearrowDocumentStore) -> None:
        """The suite leaves the default policy to each store: here an id that exists is refused."""
        documents = [Document(content="one"), Document(content="two")]
        assert await document_store.write_documents_async(documents) == 2
        with pytest.raises(DuplicateDocumentError):
            await document_store.write_documents_async(documents)
        self.assert_documents_are_equal(await document_store.filter_documents_async(), documents)


EMBED = word_vectors(64)
TEXTS = {
    "rust": "Rust has no garbage collector",
    "python": "Python has a garbage collector",
    "violin": "The violin has four strings",
    "cello": "The cello is larger than the violin",
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[NearrowDocumentStore]:
    store = NearrowDocumentStore(tmp_path, embedding_dim=64)
    documents = [
        Document(id=name, content=text, embedding=EMBED([text])[0].tolist(), meta={"letters": len(name)})
        for name, text in TEXTS.items()
    ]
    store.write_documents([*documents, Document(id="bare", content="A violin without an embedding")])
    yield store
    store.database.close()


def test_a_document_with_everything_comes_back(store: NearrowDocumentStore) -> None:
    whole = Document(
        id="whole",
        content=None,
        blob=ByteStream(b"\x00\xff", {"name": "x"}, "image/png"),
        meta={"nested": {"a": [1, None]}, "list": ["x", "y"], "none": None, "number": 1.0},
        sparse_embedding=SparseEmbedding([1, 5], [0.5, 0.25]),
    )
    store.write_documents([whole])
    assert store.filter_documents({"field": "id", "operator": "==", "value": "whole"}) == [whole]


def test_the_embedding_retriever_leaves_out_what_has_none(store: NearrowDocumentStore) -> None:
    retriever = NearrowEmbeddingRetriever(store, top_k=10)
    found = retriever.run(query_embedding=EMBED(["violin strings"])[0].tolist())["documents"]
    assert found[0].id == "violin"
    assert "bare" not in {document.id for document in found}
    assert [document.score for document in found] == sorted((document.score for document in found), reverse=True)


def test_the_words_retriever_finds_all_that_have_them(store: NearrowDocumentStore) -> None:
    found = NearrowBM25Retriever(store).run(query="violin")["documents"]
    assert {document.id for document in found} == {"violin", "cello", "bare"}


async def test_the_hybrid_retriever_in_a_pipeline_that_was_written_down(store: NearrowDocumentStore) -> None:
    pipeline = Pipeline()
    pipeline.add_component("retriever", NearrowHybridRetriever(store, top_k=2))
    written = pipeline.dumps()
    store.database.close()
    again = Pipeline.loads(written, allowed_modules=["nearrow.integrations.haystack.retrievers"])
    question = {
        "query": "garbage collector of Python",
        "query_embedding": EMBED(["garbage collector Python"])[0].tolist(),
    }
    found = again.run({"retriever": question})["retriever"]["documents"]
    assert found[0].id == "python"
    retriever = again.get_component("retriever")
    awaited = await retriever.run_async(**question, filters={"field": "meta.letters", "operator": "<", "value": 5})
    assert awaited["documents"][0].id == "rust"
    retriever.document_store.database.close()


def test_skip_and_overwrite_in_one_batch(store: NearrowDocumentStore) -> None:
    twice = [
        Document(id="new", content="first"),
        Document(id="new", content="second"),
        Document(id="rust", content="x"),
    ]
    assert store.write_documents(twice, DuplicatePolicy.SKIP) == 1
    assert store.filter_documents({"field": "content", "operator": "==", "value": "first"})[0].id == "new"
    assert store.write_documents(twice, DuplicatePolicy.OVERWRITE) == 2
    assert store.filter_documents({"field": "content", "operator": "in", "value": ["second", "x"]})[0].content


def test_wrong_sizes_and_filters_are_named(store: NearrowDocumentStore) -> None:
    with pytest.raises(ValueError, match="an embedding of 3 numbers, the store takes 64"):
        store.write_documents([Document(content="x", embedding=[1.0, 2.0, 3.0])])
    with pytest.raises(FilterError, match="unknown operator '~'"):
        store.filter_documents({"field": "meta.letters", "operator": "~", "value": 1})
