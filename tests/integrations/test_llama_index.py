"""LlamaIndex: does the store keep the contract of BasePydanticVectorStore, every operator and mode of it?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llama_index.core", reason="needs llama-index-core: pip install 'nearrow[integrations-test]'")
pytest.importorskip("pytest_asyncio")

from llama_index.core import MockEmbedding, StorageContext, VectorStoreIndex
from llama_index.core.schema import ImageNode, IndexNode, NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)

from embedding.word_vectors import word_vectors
from nearrow.errors import InvalidArgumentError
from nearrow.integrations.llama_index import NearrowVectorStore

EMBED = word_vectors(64)
ROWS: dict[str, tuple[str, dict[str, Any], str]] = {
    "rust": ("Rust has no garbage collector", {"year": 2015, "tags": ["systems"], "author": "Graydon Hoare"}, "a"),
    "python": ("Python has a garbage collector", {"year": 1991, "tags": ["scripts", "systems"]}, "a"),
    "violin": ("The violin has four strings", {"year": "about 1530", "strings": 4, "tags": []}, "b"),
    "cello": ("The cello is larger than the violin", {"strings": 4.5, "author": None}, "b"),
}


def vector(text: str) -> list[float]:
    found: list[float] = EMBED([text])[0].tolist()
    return found


def node(name: str) -> TextNode:
    text, metadata, document = ROWS[name]
    source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=document)}
    return TextNode(id_=name, text=text, metadata=metadata, embedding=vector(text), relationships=source)


@pytest.fixture
def store() -> NearrowVectorStore:
    store = NearrowVectorStore()
    assert store.add([node(name) for name in ROWS]) == list(ROWS)
    return store


def found(store: NearrowVectorStore, **question: Any) -> list[str]:
    question = {"query_embedding": vector("violin strings"), "similarity_top_k": 10, **question}
    return list(store.query(VectorStoreQuery(**question)).ids or [])


def filtered(store: NearrowVectorStore, *filters: Any, condition: FilterCondition = FilterCondition.AND) -> set[str]:
    return set(found(store, filters=MetadataFilters(filters=list(filters), condition=condition)))


def test_it_is_a_vector_store_that_keeps_texts(store: NearrowVectorStore) -> None:
    assert isinstance(store, BasePydanticVectorStore)
    assert store.stores_text
    assert store.is_embedding_query
    assert store.class_name() == "NearrowVectorStore"
    assert store.client.collections() == ["llama_index"]


def test_the_nearest_node_comes_first_and_is_whole(store: NearrowVectorStore) -> None:
    result = store.query(VectorStoreQuery(query_embedding=vector(ROWS["violin"][0]), similarity_top_k=2))
    assert None not in (result.ids, result.nodes, result.similarities)
    assert result.ids[0] == "violin"
    assert result.similarities[0] == pytest.approx(1.0, abs=1e-5)
    first = result.nodes[0]
    assert isinstance(first, TextNode)
    assert (first.text, first.metadata, first.ref_doc_id) == (*ROWS["violin"][:2], "b")
    assert first.relationships == node("violin").relationships


OPERATORS: dict[FilterOperator, tuple[str, Any, set[str]]] = {
    FilterOperator.EQ: ("year", 2015, {"rust"}),
    FilterOperator.NE: ("year", 2015, {"python", "violin", "cello"}),
    FilterOperator.GT: ("year", 1991, {"rust"}),
    FilterOperator.GTE: ("year", 1991, {"rust", "python"}),
    FilterOperator.LT: ("strings", 4.5, {"violin"}),
    FilterOperator.LTE: ("strings", 4.5, {"violin", "cello"}),
    FilterOperator.IN: ("year", [1991, 2015], {"rust", "python"}),
    FilterOperator.NIN: ("year", [1991, 2015], {"violin", "cello"}),
    FilterOperator.ANY: ("tags", ["scripts", "nothing"], {"python"}),
    FilterOperator.ALL: ("tags", ["scripts", "systems"], {"python"}),
    FilterOperator.TEXT_MATCH: ("author", "Hoare", {"rust"}),
    FilterOperator.TEXT_MATCH_INSENSITIVE: ("author", "graydon h", {"rust"}),
    FilterOperator.CONTAINS: ("tags", "systems", {"rust", "python"}),
    FilterOperator.IS_EMPTY: ("tags", None, {"violin", "cello"}),
}


def test_every_operator_of_this_version_has_a_case() -> None:
    assert set(OPERATORS) == set(FilterOperator)


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)
def test_operator(store: NearrowVectorStore, operator: FilterOperator) -> None:
    key, value, expected = OPERATORS[operator]
    assert filtered(store, MetadataFilter(key=key, value=value, operator=operator)) == expected


def test_text_match_takes_its_text_literally(store: NearrowVectorStore) -> None:
    for operator in (FilterOperator.TEXT_MATCH, FilterOperator.TEXT_MATCH_INSENSITIVE):
        assert filtered(store, MetadataFilter(key="author", value="Gr.y", operator=operator)) == set()


def test_conditions_nest(store: NearrowVectorStore) -> None:
    strings = MetadataFilter(key="strings", value=4, operator=FilterOperator.GTE)
    old = MetadataFilter(key="year", value=2000, operator=FilterOperator.LT)
    assert filtered(store, strings, old) == set()
    assert filtered(store, strings, old, condition=FilterCondition.OR) == {"violin", "cello", "python"}
    inner = MetadataFilters(filters=[strings, old], condition=FilterCondition.OR)
    assert filtered(store, inner, condition=FilterCondition.NOT) == {"rust"}


def test_ids_and_documents_narrow_a_query(store: NearrowVectorStore) -> None:
    assert set(found(store, node_ids=["rust", "cello"])) == {"rust", "cello"}
    assert set(found(store, doc_ids=["b"])) == {"violin", "cello"}


MODES = VectorStoreQueryMode


def test_modes(store: NearrowVectorStore) -> None:
    assert found(store, mode=MODES.DEFAULT)[0] == "violin"
    for mode in (MODES.SPARSE, MODES.TEXT_SEARCH):
        assert set(found(store, mode=mode, query_str="garbage", query_embedding=None)) == {"rust", "python"}
    for mode in (MODES.HYBRID, MODES.SEMANTIC_HYBRID):
        assert found(store, mode=mode, query_str="violin strings")[0] == "violin"
    assert len(found(store, mode=MODES.MMR, mmr_threshold=0.1, similarity_top_k=3)) == 3


def test_alpha_goes_from_words_to_vector(store: NearrowVectorStore) -> None:
    def best(alpha: float) -> str:
        return found(store, mode=MODES.HYBRID, query_str="cello", query_embedding=vector(ROWS["rust"][0]), alpha=alpha)[
            0
        ]

    assert (best(0.0), best(1.0)) == ("cello", "rust")


def test_modes_that_cannot_be_are_named(store: NearrowVectorStore) -> None:
    with pytest.raises(InvalidArgumentError, match="mode 'svm' trains"):
        found(store, mode=MODES.SVM)
    with pytest.raises(InvalidArgumentError, match="needs query_str"):
        found(store, mode=MODES.HYBRID)
    with pytest.raises(InvalidArgumentError, match="needs query_embedding"):
        found(store, query_embedding=None)


def test_nodes_come_with_their_embeddings(store: NearrowVectorStore) -> None:
    (only,) = store.get_nodes(["rust"])
    assert np.allclose(only.embedding, np.float32(vector(ROWS["rust"][0])))
    old = MetadataFilters(filters=[MetadataFilter(key="year", value=2000, operator=FilterOperator.LT)])
    assert [each.node_id for each in store.get_nodes(filters=old)] == ["python"]
    assert len(store.get_nodes()) == 4


def test_deleting(store: NearrowVectorStore) -> None:
    store.delete("b")
    assert {each.node_id for each in store.get_nodes()} == {"rust", "python"}
    store.delete_nodes(["rust"])
    assert len(store.get_nodes()) == 1
    store.delete_nodes()
    assert len(store.get_nodes()) == 1  # nothing was named, so nothing goes
    store.clear()
    assert store.get_nodes() == []
    assert found(store) == []


def test_other_kinds_of_nodes_come_back_as_they_were(store: NearrowVectorStore) -> None:
    image = ImageNode(id_="image", image="aGVsbG8=", text="a picture", embedding=vector("picture"))
    index = IndexNode(id_="index", index_id="somewhere", text="a pointer", embedding=vector("pointer"))
    store.add([image, index])
    got = {each.node_id: each for each in store.get_nodes(["image", "index"])}
    assert isinstance(got["image"], ImageNode)
    assert got["image"].image == "aGVsbG8="
    assert isinstance(got["index"], IndexNode)
    assert got["index"].index_id == "somewhere"


async def test_the_awaited_twins(tmp_path: Path) -> None:
    store = NearrowVectorStore(tmp_path, dimension=64)
    assert await store.async_add([node(name) for name in ROWS]) == list(ROWS)
    result = await store.aquery(VectorStoreQuery(query_embedding=vector("garbage"), similarity_top_k=1))
    assert result.ids in (["rust"], ["python"])
    assert len(await store.aget_nodes()) == 4
    await store.adelete("a")
    await store.adelete_nodes(["violin"])
    assert [each.node_id for each in await store.aget_nodes()] == ["cello"]
    await store.aclear()
    assert await store.aget_nodes() == []
    store.client.close()


def test_an_empty_store_answers_with_nothing() -> None:
    store = NearrowVectorStore()
    assert found(store) == []
    assert store.get_nodes() == []
    store.delete("x")
    store.clear()
    assert store.add([]) == []


def test_an_index_over_it_retrieves_and_is_kept(tmp_path: Path) -> None:
    store = NearrowVectorStore(tmp_path)
    context = StorageContext.from_defaults(vector_store=store)
    model = MockEmbedding(embed_dim=64)
    VectorStoreIndex([node(name) for name in ROWS], storage_context=context, embed_model=model)
    store.client.close()
    again = NearrowVectorStore(tmp_path)
    index = VectorStoreIndex.from_vector_store(again, embed_model=model)
    retriever = index.as_retriever(vector_store_query_mode="hybrid", similarity_top_k=2, alpha=0.0)
    assert retriever.retrieve("cello")[0].node.node_id == "cello"
    again.client.close()
