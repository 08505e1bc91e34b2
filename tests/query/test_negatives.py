"""Negatives: is the answer the one that ranking every row exactly would give?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from mixed_rows import DIMENSION, Mixed, distances, mixed_collection

import nearrow
from nearrow.collection import Collection

METRICS = ["cosine", "l2", "dot"]


def ranked(metric: str, query: np.ndarray, negatives: np.ndarray, weight: float, vectors: np.ndarray) -> np.ndarray:
    """distance(q, x) − weight · mean distance(n, x) of every row."""
    away = np.mean([distances(metric, negative, vectors) for negative in np.atleast_2d(negatives)], axis=0)
    keys: np.ndarray = distances(metric, query, vectors) - weight * away
    return keys


@pytest.fixture(scope="module", params=METRICS)
def mixed(request: pytest.FixtureRequest) -> Mixed:
    return mixed_collection(request.param)


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.5, 0.79, 0.9, 1.0, 2.5])
@pytest.mark.parametrize("count", [1, 3])
def test_exact_search_equals_the_ranking_of_every_row(mixed: Mixed, weight: float, count: int) -> None:
    rng = np.random.default_rng(1)
    query, negatives = rng.standard_normal(DIMENSION), rng.standard_normal((count, DIMENSION))
    ids = list(mixed.rows)
    vectors = np.array([mixed.rows[name]["vector"] for name in ids], np.float64)
    keys = ranked(mixed.metric, query, negatives, weight, vectors)
    for where, allowed in ((None, np.ones(len(ids), bool)), ("year >= 2020", late_rows(mixed, ids))):
        arguments: dict[str, Any] = {"negatives": negatives, "negative_weight": weight, "where": where}
        hits = mixed.collection.search(query, k=20, exact=True, **arguments)
        np.testing.assert_allclose(hits.distances, np.sort(keys[allowed])[:20], rtol=1e-4, atol=1e-4)
        assert len(mixed.collection.search(query, k=10_000, **arguments)) == allowed.sum()
        assert [hit.query_distance - weight * hit.negative_distance for hit in hits] == pytest.approx(
            hits.distances.tolist(), rel=1e-4, abs=1e-4
        )


def late_rows(mixed: Mixed, ids: list[str]) -> np.ndarray:
    years = [mixed.rows[name]["year"] for name in ids]
    return np.array([year is not None and year >= 2020 for year in years])


def test_a_query_that_its_negatives_cancel_ranks_every_row(mixed: Mixed) -> None:
    query = np.random.default_rng(2).standard_normal(DIMENSION)
    ids = list(mixed.rows)
    vectors = np.array([mixed.rows[name]["vector"] for name in ids], np.float64)
    keys = ranked(mixed.metric, query, query, 1.0, vectors)
    hits = mixed.collection.search(query, k=10, negatives=query, negative_weight=1.0)
    assert len(hits) == 10
    np.testing.assert_allclose(hits.distances, np.sort(keys)[:10], atol=1e-4)


def test_the_distance_limit_applies_to_the_rank(mixed: Mixed) -> None:
    rng = np.random.default_rng(5)
    query, negative = rng.standard_normal(DIMENSION), rng.standard_normal(DIMENSION)
    ids = list(mixed.rows)
    vectors = np.array([mixed.rows[name]["vector"] for name in ids], np.float64)
    keys = np.sort(ranked(mixed.metric, query, negative, 0.5, vectors))
    within = float(keys[30]) + 1e-4
    assert len(mixed.collection.search(query, k=None, within=within, negatives=negative)) == (keys <= within).sum()
    assert len(mixed.collection.search(query, k=5, within=within, negatives=negative)) == 5


def test_pages_and_groups_follow_the_rank(mixed: Mixed) -> None:
    rng = np.random.default_rng(6)
    query, negative = rng.standard_normal(DIMENSION), rng.standard_normal(DIMENSION)
    whole = mixed.collection.search(query, k=60, negatives=negative, exact=True)
    first = mixed.collection.search(query, k=30, negatives=negative, exact=True)
    second = mixed.collection.search(query, k=30, negatives=negative, exact=True, after=first.cursor)
    assert [*first.ids, *second.ids] == whole.ids.tolist()
    assert len(mixed.collection.search(query, k=5, negatives=negative, group_by="section")) == 5


@pytest.fixture(scope="module", params=METRICS)
def real(request: pytest.FixtureRequest, wordnet_10k: pa.Table) -> Collection:
    collection = nearrow.connect(":memory:").create_collection("real", dimension=384, metric=request.param)
    collection.add(wordnet_10k.select(["id", "vector", "lexname"]))
    collection.compact()
    return collection


@pytest.mark.parametrize("weight", [0.2, 0.5])
@pytest.mark.parametrize("where", [None, {"lexname": "noun.artifact"}], ids=["all", "filtered"])
def test_the_walk_finds_what_ranking_every_row_finds(
    real: Collection, wordnet_queries: np.ndarray, weight: float, where: Any
) -> None:
    table = real.scan(where, columns=["id", "vector"]).read_all()
    vectors = table["vector"].combine_chunks().flatten().to_numpy().reshape(len(table), -1).astype(np.float64)
    agreed, asked = 0, 0
    for number in range(60):
        query, negatives = wordnet_queries[number], wordnet_queries[[number + 60, number + 120]]
        keys = ranked(real.config.metric, query, negatives, weight, vectors)
        hits = real.search(query, k=10, where=where, negatives=negatives, negative_weight=weight)
        agreed += int((hits.distances <= np.sort(keys)[9] + 1e-5).sum())
        asked += 10
    assert agreed / asked >= 0.95
