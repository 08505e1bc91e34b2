"""Explain: does it say how each part was searched, what passed, what it cost, and what each score is made of?"""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from mixed_rows import DIMENSION, mixed_collection

import nearrow
from nearrow.collection import Collection
from nearrow.query.accept import Accept
from nearrow.query.planner import CODES, EXACT, MASKED, RANGE, SKETCH, SKIP, TWO_HOPS, WALK, Crossovers, strategy_of
from nearrow.query.query import VectorQuery
from nearrow.query.request import Request

QUERY = np.random.default_rng(0).standard_normal(DIMENSION).astype(np.float32)
BITS = np.full(125_000, 255, np.uint8)
LIMITS = Crossovers(6_000, 700, 1_200, 0.25)


@pytest.fixture(scope="module")
def collection() -> Collection:
    return mixed_collection().collection


def explained(collection: Collection, **arguments: Any) -> dict[str, Any]:
    found: dict[str, Any] = collection.search(QUERY, explain=True, **arguments).explanation.to_dict()
    json.dumps(found)
    return found


@pytest.mark.parametrize(
    ("rows", "accepted", "k", "expected"),
    [
        (1_000_000, 0, 10, SKIP),
        (1_000_000, 15, 10, EXACT),
        (1_000_000, 20_000, 10, CODES),
        (1_000_000, 100_000, 10, TWO_HOPS),
        (1_000_000, 500_000, 10, MASKED),
        (30, 30, 10, EXACT),
    ],
)
def test_the_plan_follows_from_numbers_alone(rows: int, accepted: int, k: int, expected: str) -> None:
    request = Request(VectorQuery(k), QUERY)
    assert strategy_of(request, rows, Accept(BITS, accepted), 40, LIMITS) == expected


def test_a_filter_with_a_sketch_is_scanned_until_a_walk_is_cheaper() -> None:
    request = Request(VectorQuery(10), QUERY)
    for accepted, expected in ((100_000, SKETCH), (600_000, MASKED)):
        sketched = Accept(BITS, accepted)
        sketched.prepared.selection = SimpleNamespace(has_sketch=True)  # type: ignore[assignment]
        assert strategy_of(request, 1_000_000, sketched, 40, LIMITS) == expected


def test_a_part_without_a_filter_is_walked_and_one_without_a_graph_is_scanned() -> None:
    request = Request(VectorQuery(10), QUERY)
    assert strategy_of(request, 1_000_000, Accept(None, 1_000_000), beam=40) == WALK
    assert strategy_of(request, 1_000_000, Accept(None, 1_000_000), beam=None) == EXACT
    within = Request(VectorQuery(None, within=1.0), QUERY)
    assert strategy_of(within, 1_000_000, Accept(None, 1_000_000), beam=None) == RANGE


def test_each_part_says_its_rows_its_way_and_its_counters(collection: Collection) -> None:
    found = explained(collection, where={"year": {"$gte": 2010}}, k=5)
    parts = found["plan"]["parts"]
    assert len(parts) == len(collection._view().parts)
    assert sum(part["accepted"] for part in parts) == found["accepted"] == collection.count({"year": {"$gte": 2010}})
    for part in parts:
        assert part["selectivity"] == pytest.approx(part["accepted"] / part["rows"])
        assert 0 <= part["estimated_selectivity"] <= 1
        assert part["measured"]["seconds"] > 0
        assert part["measured"]["exact_distances"] > 0
        assert (part["beam"] is None) == (part["strategy"] == EXACT)
    assert found["hits"] == 5
    assert set(found["seconds"]) >= {"filter", "search"}


def test_segments_that_the_zone_maps_exclude_are_skipped() -> None:
    collection = nearrow.connect(":memory:").create_collection("zones", dimension=4, metric="l2")
    for batch in range(3):
        ids = list(range(100 * batch, 100 * batch + 100))
        collection.add(ids=ids, vectors=np.ones((100, 4), np.float32), metadata=[{"n": i} for i in ids])
        collection.flush()
    explanation = collection.search([1.0] * 4, k=3, where={"n": {"$gte": 250}}, explain=True).explanation
    found = explanation.to_dict()
    assert [part["strategy"] for part in found["plan"]["parts"]] == [SKIP, SKIP, EXACT]
    assert [part["pruned"] for part in found["plan"]["parts"]] == [True, True, False]
    assert found["plan"]["parts"][2]["estimated_selectivity"] == pytest.approx(0.5, abs=0.02)
    assert "2 of 3 parts skipped" in str(explanation)


def test_each_hit_says_what_its_score_is_made_of(collection: Collection) -> None:
    scores = explained(collection, k=4)["scores"]
    assert [set(score) for score in scores] == [{"id", "distance", "score"}] * 4
    scores = explained(collection, k=4, negatives=-QUERY)["scores"]
    for score in scores:
        assert score["distance"] == pytest.approx(score["query_distance"] - 0.5 * score["negative_distance"], abs=1e-5)
    scores = explained(collection, k=4, text="row libs")["scores"]
    assert {"vector_score", "text_score", "combined_score"} <= set(scores[0])


def test_explaining_changes_nothing(collection: Collection) -> None:
    for arguments in ({}, {"where": "year > 2000"}, {"within": 0.9}, {"exact": True}, {"negatives": -QUERY}):
        plain = collection.search(QUERY, k=7, **arguments)
        assert collection.search(QUERY, k=7, explain=True, **arguments).ids.tolist() == plain.ids.tolist()
        assert str(collection.search(QUERY, k=7, explain=True, **arguments).explanation)


def test_a_text_search_is_explained_too(collection: Collection) -> None:
    explanation = collection.search(text="libs", k=3, where={"year": {"$gte": 2010}}, explain=True).explanation
    assert explanation.to_dict()["plan"]["kind"] == "text"
    assert explanation.to_dict()["scores"][0]["text_score"] > 0
