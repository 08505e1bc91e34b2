"""Embedding: do texts become vectors, queries hybrid searches, and is a wrong model refused?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import nearrow
from embedding.word_vectors import Counting, word_vectors
from nearrow.errors import DimensionMismatchError, EmbeddingError, InvalidArgumentError, SchemaError

TEXTS = {
    "rust": "Rust has no garbage collector",
    "python": "Python has a garbage collector",
    "violin": "The violin has four strings",
    "cello": "The cello is larger than the violin",
}


@pytest.fixture
def model() -> Counting:
    return Counting(word_vectors(32))


@pytest.fixture
def docs(model: Counting) -> Iterator[nearrow.Collection]:
    with nearrow.connect(":memory:") as db:
        docs = db.create_collection("docs", embedding=model)
        docs.add(ids=list(TEXTS), texts=list(TEXTS.values()))
        yield docs


def vectors_of(docs: nearrow.Collection, *ids: str) -> np.ndarray:
    return np.array(docs.get(list(ids), columns=["vector"])["vector"].to_pylist(), dtype=np.float32)


def test_the_model_tells_the_dimension_and_text_is_a_text_field(docs: nearrow.Collection) -> None:
    assert docs.config.dimension == 32
    assert docs.config.text_fields == ("text",)
    assert len(docs) == 4
    assert np.array_equal(vectors_of(docs, "violin"), word_vectors(32)([TEXTS["violin"]]))


def test_what_a_user_types_is_answered_by_vector_and_words(docs: nearrow.Collection) -> None:
    hits = docs.search(query="garbage collector in Python", k=2)
    assert [hit.id for hit in hits] == ["python", "rust"]
    assert {"vector_score", "text_score"} <= set(hits.parts)


def test_without_text_fields_the_vector_alone_answers(model: Counting) -> None:
    with nearrow.connect(":memory:") as db:
        docs = db.create_collection("docs", embedding=model, text_fields=[])
        docs.add(ids=list(TEXTS), texts=list(TEXTS.values()))
        hits = docs.search(query="four strings", k=1)
        assert (hits[0].id, hits[0]["text"]) == ("violin", TEXTS["violin"])
        assert not hits.parts


def test_a_list_of_queries_is_a_batch(docs: nearrow.Collection) -> None:
    first, second = docs.search(query=["garbage collector in Python", "the violin's four strings"], k=1)
    assert (first[0].id, second[0].id) == ("python", "violin")


def test_filters_and_other_words_go_with_a_query(docs: nearrow.Collection) -> None:
    assert docs.search(query="garbage collector", k=4, where={"id": {"$ne": "python"}})[0].id == "rust"
    hits = docs.search(query="garbage collector", text="cello", k=4, fusion="max")
    assert hits[0].id in ("cello", "python", "rust")
    assert np.isfinite(hits.parts["text_score"]).sum() >= 1


def test_embed_gives_the_vectors_that_a_query_looks_for(docs: nearrow.Collection) -> None:
    one, many = docs.embed("four strings"), docs.embed(["four strings", "no garbage"])
    assert one.shape == (32,)
    assert many.shape == (2, 32)
    assert docs.search(one, k=1)[0].id == "violin"


@pytest.mark.parametrize("kind", ["dicts", "table", "reader", "dictionary column"])
def test_rows_of_any_kind_may_bring_a_text_instead_of_a_vector(docs: nearrow.Collection, kind: str) -> None:
    rows: Any = [{"id": f"n{i}", "text": f"number {i} of many", "year": i} for i in range(300)]
    if kind != "dicts":
        rows = pa.Table.from_pylist(rows)
    if kind == "reader":
        rows = rows.to_reader(max_chunksize=100)
    if kind == "dictionary column":
        rows = rows.set_column(1, "text", rows["text"].dictionary_encode())
    assert docs.upsert(rows) == 300
    assert docs.search(query="number 217", k=1)[0]["year"] == 217


def test_rows_with_vectors_are_not_embedded(docs: nearrow.Collection, model: Counting) -> None:
    asked = len(model.texts)
    docs.add(ids=["x"], vectors=np.ones((1, 32)), texts=["a text of its own"])
    assert len(model.texts) == asked
    assert np.array_equal(vectors_of(docs, "x"), np.ones((1, 32)))


def test_texts_are_embedded_in_batches_under_a_bar(
    docs: nearrow.Collection, model: Counting, capsys: pytest.CaptureFixture[str]
) -> None:
    model.batches.clear()
    docs.add(ids=[f"n{i}" for i in range(200)], texts=[f"text {i}" for i in range(200)], progress=True)
    assert model.batches == [64, 64, 64, 8]
    assert "embedding for docs" in capsys.readouterr().err


def test_a_new_text_gets_a_new_vector(docs: nearrow.Collection) -> None:
    docs.update([{"id": "rust", "text": "Oboes have reeds"}, {"id": "cello", "pages": 3}])
    assert np.array_equal(vectors_of(docs, "rust"), word_vectors(32)(["Oboes have reeds"]))
    assert np.array_equal(vectors_of(docs, "cello"), word_vectors(32)([TEXTS["cello"]]))
    docs.update({"text": "All the same"}, where={"id": {"$in": ["python", "violin"]}})
    assert np.array_equal(vectors_of(docs, "python", "violin"), word_vectors(32)(["All the same"] * 2))


def test_a_transaction_embeds(docs: nearrow.Collection) -> None:
    with docs.transaction() as tx:
        tx.upsert(ids=["oboe"], texts=["The oboe has a double reed"])
        tx.delete(["rust"])
    assert docs.search(query="double reed", k=1)[0].id == "oboe"
    assert "rust" not in docs


# ---- refused


def test_a_null_text_is_refused_before_anything_is_written(docs: nearrow.Collection) -> None:
    with pytest.raises(InvalidArgumentError, match="row 1: 'text' is null"):
        docs.add([{"id": "a", "text": "fine"}, {"id": "b", "text": None}])
    assert "a" not in docs


def test_rows_with_neither_vector_nor_text_are_refused(docs: nearrow.Collection) -> None:
    with pytest.raises(InvalidArgumentError, match="neither a 'vector' nor a text in 'text'"):
        docs.add([{"id": "a", "year": 1}])
    with pytest.raises(SchemaError, match="holds strings"):
        docs.add([{"id": "a", "text": 7}])


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda texts: np.zeros((1, 2, 3)), "shape"),
        (lambda texts: np.ones((len(texts) + 1, 4)), "shape"),
        (lambda texts: np.full((len(texts), 4), np.nan), "NaN"),
        (lambda texts: 1 / 0, "ZeroDivisionError"),
        (lambda texts: [["a"]] * len(texts), "failed"),
    ],
)
def test_a_model_that_misbehaves_is_named(function: Any, says: str) -> None:
    with nearrow.connect(":memory:") as db:
        with pytest.raises(EmbeddingError, match=says):
            db.create_collection("docs", embedding=function)
        assert db.collections() == []


def test_what_is_no_model_is_refused() -> None:
    with nearrow.connect(":memory:") as db:
        with pytest.raises(InvalidArgumentError, match="did you mean 'fastembed'"):
            db.create_collection("docs", embedding="fastembedd/x")
        with pytest.raises(InvalidArgumentError, match="a function from a list of texts"):
            db.create_collection("docs", embedding=7)
        with pytest.raises(InvalidArgumentError, match="zero vector"):
            db.create_collection("docs", embedding=lambda texts: np.zeros((len(texts), 4)))
        with pytest.raises(InvalidArgumentError, match="dimension is missing"):
            db.create_collection("docs")
        with pytest.raises(InvalidArgumentError, match="gives 8 dimensions, not 9"):
            db.create_collection("docs", 9, embedding=word_vectors(8))


def test_a_query_is_a_text_or_texts(docs: nearrow.Collection) -> None:
    with pytest.raises(InvalidArgumentError, match="query must be a text"):
        docs.search(query=[1, 2])
    with pytest.raises(InvalidArgumentError, match="either query="):
        docs.search(np.ones(32), query="violin")
    with pytest.raises(DimensionMismatchError):
        docs.search(np.ones(3))


def test_without_a_model_the_error_says_what_to_do() -> None:
    with nearrow.connect(":memory:") as db:
        docs = db.create_collection("docs", dimension=4, text_fields=["text"])
        with pytest.raises(EmbeddingError, match=r"open it with db.collection\('docs', embedding=…\)"):
            docs.search(query="violin")
        with pytest.raises(InvalidArgumentError, match="no column 'vector'"):
            docs.add(ids=["a"], texts=["b"])


# ---- remembered


def test_the_identity_is_stored_and_the_function_given_again(tmp_path: Path) -> None:
    with nearrow.connect(tmp_path) as db:
        db.create_collection("docs", embedding=word_vectors(32)).add(ids=["a"], texts=["four strings"])
    with nearrow.connect(tmp_path) as db:
        docs = db.collection("docs")
        assert docs.search(np.ones(32), k=1)[0].id == "a"  # vectors need no model
        with pytest.raises(EmbeddingError, match="is not stored; give it again"):
            docs.search(query="strings")
        again = db.collection("docs", embedding=word_vectors(32))
        assert again is docs
        assert docs.search(query="strings", k=1)[0].id == "a"


@pytest.mark.parametrize("other", [word_vectors(32, "another model"), word_vectors(16)])
def test_another_model_is_refused_with_advice(tmp_path: Path, other: Any) -> None:
    with nearrow.connect(tmp_path) as db:
        db.create_collection("docs", embedding=word_vectors(32)).add(ids=["a"], texts=["four strings"])
    with nearrow.connect(tmp_path) as db, pytest.raises(EmbeddingError, match=r"were made by .*reembed\(\)"):
        db.collection("docs", embedding=other)


def test_the_same_model_in_half_precision_is_the_same(tmp_path: Path) -> None:
    def halved(texts: list[str]) -> np.ndarray:
        return word_vectors(32)(texts).astype(np.float16)

    with nearrow.connect(tmp_path) as db:
        db.create_collection("docs", embedding=word_vectors(32))
        assert db.get_or_create_collection("docs", embedding=halved).embed("four strings").shape == (32,)


def test_the_config_round_trips_and_is_unchanged_without_a_model(docs: nearrow.Collection) -> None:
    text = docs.config.to_json()
    assert nearrow.CollectionConfig.from_json(text) == docs.config
    assert "embedding" not in json.loads(nearrow.CollectionConfig("plain", 4).to_json())
    broken = json.loads(text) | {"embedding": {"name": "x"}}
    with pytest.raises(InvalidArgumentError, match="identity is malformed"):
        nearrow.CollectionConfig.from_json(json.dumps(broken))


def test_a_snapshot_keeps_the_identity(docs: nearrow.Collection, tmp_path: Path) -> None:
    docs.snapshot(tmp_path / "backup")
    with nearrow.connect(":memory:") as db:
        restored = db.restore(tmp_path / "backup")
        assert restored.config.embedding == docs.config.embedding
