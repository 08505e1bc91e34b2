"""Known mistakes: does Nearrow avoid what other databases got wrong in filters? Each test would catch one of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

import nearrow
from nearrow.collection import Collection

DIMENSION = 8


@pytest.fixture(scope="module")
def words() -> Collection:
    """3,000 rows in one segment with a graph and a memtable; `rare` is true for 7 rows far from the first axis."""
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((3_000, DIMENSION)).astype(np.float32)
    vectors[::450] -= np.float32(20) * np.eye(DIMENSION, dtype=np.float32)[0]
    collection = nearrow.connect(":memory:").create_collection("words", dimension=DIMENSION, metric="l2")
    rows = pa.table(
        {
            "id": [f"w{i}" for i in range(3_000)],
            "vector": pa.FixedSizeListArray.from_arrays(vectors.ravel(), DIMENSION),
            "section": [["lib", "libs", "libsodium", "doc"][i % 4] for i in range(3_000)],
            "year": [2000 + i % 20 for i in range(3_000)],
            "rare": [i % 450 == 0 for i in range(3_000)],
            "note": pa.array([None if i % 3 else "kept" for i in range(3_000)]),
        }
    )
    collection.add(rows.slice(0, 2_900))
    collection.flush()
    collection.add(rows.slice(2_900))
    collection.wait()
    assert [part.graph is not None for part in collection._view().parts] == [True, False]
    return collection


def test_in_compares_whole_values_never_substrings(words: Collection) -> None:
    for where in ({"section": {"$in": ["libs"]}}, "section IN ('libs')", {"section": "libs"}):
        found = words.scan(where, columns=["section"]).read_all()["section"].to_pylist()
        assert set(found) == {"libs"}
        assert len(found) == 750
        hits = words.search([1.0] * DIMENSION, k=750, where=where, columns=["section"])
        assert {hit["section"] for hit in hits} == {"libs"}
    assert words.count({"section": {"$in": ["li", "ibs", "", "lib,libs"]}}) == 0


def test_and_keeps_the_keys_beside_it(words: Collection) -> None:
    both = words.count({"section": "doc", "year": {"$gte": 2010}})
    assert 0 < both < 750
    for where in (
        {"$and": [{"year": {"$gte": 2010}}], "section": "doc"},
        {"section": "doc", "$and": [{"year": {"$gte": 2010}}]},
        {"$or": [{"section": "doc"}], "year": {"$gte": 2010}},
        {"$not": {"section": {"$ne": "doc"}}, "year": {"$gte": 2010, "$lt": 3000}},
    ):
        assert words.count(where) == both, where
        hits = words.search([1.0] * DIMENSION, k=3_000, where=where, columns=["section", "year"])
        assert len(hits) == both
        assert all(hit["section"] == "doc" and hit["year"] >= 2010 for hit in hits)


def test_the_filter_comes_before_the_top_k(words: Collection) -> None:
    query = 10 * np.eye(DIMENSION, dtype=np.float32)[0]  # the rare rows are the farthest of all
    for k in (1, 5, 7, 50):
        for arguments in ({}, {"ef_search": 1}, {"exact": True}, {"target_recall": 0.5}):
            hits = words.search(query, k=k, where={"rare": True}, columns=["rare"], **arguments)
            assert len(hits) == min(k, 7)
            assert all(hit["rare"] for hit in hits)
    assert len(words.search(query, k=5, where={"rare": True}, negatives=-query)) == 5
    assert len(words.search(query, k=5, where={"rare": True}, group_by="year", group_size=5)) == 5
    for hits in words.search(np.stack([query, -query]), k=7, where=[{"rare": True}, {"rare": False}]):
        assert len(hits) == 7


def test_deleted_rows_never_take_the_place_of_others() -> None:
    rng = np.random.default_rng(4)
    vectors = rng.standard_normal((3_000, DIMENSION)).astype(np.float32)
    collection = nearrow.connect(":memory:").create_collection("gone", dimension=DIMENSION, metric="l2")
    collection.add(ids=list(range(3_000)), vectors=vectors, metadata=[{"even": i % 2 == 0} for i in range(3_000)])
    collection.flush()
    collection.wait()
    nearest = collection.search(vectors[0], k=400, exact=True).ids
    collection.delete(nearest.tolist())
    hits = collection.search(vectors[0], k=10)
    assert len(hits) == 10
    assert not set(hits.ids.tolist()) & set(nearest.tolist())
    assert len(collection.search(vectors[0], k=10, where={"even": True})) == 10


def test_a_missing_field_follows_the_rule_of_its_spelling(words: Collection) -> None:
    kept, missing = 1_000, 2_000
    assert words.count({"note": "kept"}) == kept
    assert words.count({"note": {"$ne": "kept"}}) == missing
    assert words.count({"note": {"$nin": ["kept"]}}) == missing
    assert words.count({"$not": {"note": "kept"}}) == missing
    assert words.count({"note": {"$exists": False}}) == missing
    assert words.count({"note": None}) == missing
    assert words.count({"note": {"$gt": ""}}) == kept
    assert words.count({"note": {"$lt": "zzz"}}) == kept
    assert words.count("note <> 'kept'") == 0
    assert words.count("NOT note = 'kept'") == 0
    assert words.count("note IS NULL") == missing
    hits = words.search([1.0] * DIMENSION, k=3_000, where={"note": {"$ne": "kept"}}, columns=["note"])
    assert len(hits) == missing
    assert all(hit["note"] is None for hit in hits)
