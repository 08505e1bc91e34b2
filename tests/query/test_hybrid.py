"""Hybrid: are both sides joined as documented, with the true scores of each, through the public API?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import nearrow
from nearrow.collection import Collection
from nearrow.query.ranking import Candidates

ROWS = 900
QUERY = np.array([1.0, 0.5, -0.5, 0.25], np.float32)
WORDS = "red blue n17"


@pytest.fixture(scope="module", params=["cosine", "l2", "dot"])
def docs(request: pytest.FixtureRequest) -> Iterator[Collection]:
    rng = np.random.default_rng(3)
    with nearrow.connect(":memory:") as db:
        docs = db.create_collection("docs", 4, metric=request.param, text_fields=["text"], graph_rows_min=100)
        docs.add(
            ids=np.arange(ROWS),
            vectors=rng.normal(size=(ROWS, 4)).astype("f"),
            texts=[" ".join(rng.choice(["red", "green", "blue", "black"], 3)) + f" n{n}" for n in range(ROWS)],
            metadata=[{"year": n % 10} for n in range(ROWS)],
        )
        docs.flush()
        docs.wait()
        docs.delete(ids=list(range(0, ROWS, 9)))
        yield docs


def sides(docs: Collection, depth: int = 100) -> tuple[list[int], list[int]]:
    near = docs.search(QUERY, k=depth, exact=True).ids.tolist()
    return near, docs.search(text=WORDS, k=depth).ids.tolist()


def test_rrf_is_the_sum_of_the_reciprocal_ranks(docs: Collection) -> None:
    near, words = sides(docs)
    score = dict.fromkeys([*near, *words], 0.0)
    for side in (near, words):
        for rank, n in enumerate(side, 1):
            score[n] += 1 / (60 + rank)
    order = sorted(score, key=lambda n: (-score[n], n))[:20]
    hits = docs.search(QUERY, text=WORDS, k=20, exact=True)
    assert hits.ids.tolist() == order
    np.testing.assert_allclose([hit.combined_score for hit in hits], [score[n] for n in order], atol=1e-9, rtol=0)
    assert [hit.vector_rank for hit in hits] == [near.index(n) + 1 if n in near else 0 for n in order]
    assert [hit.text_rank for hit in hits] == [words.index(n) + 1 if n in words else 0 for n in order]


FUSIONS = ["rrf", "weighted", "max", "min", "average", nearrow.RRF(k=10), nearrow.Weighted(0.2, 0.8, "z")]


@pytest.mark.parametrize("fusion", FUSIONS)
def test_each_hit_carries_the_true_scores_of_both_sides(docs: Collection, fusion: Any) -> None:
    near = docs.search(QUERY, k=ROWS, exact=True)
    words = docs.search(text=WORDS, k=ROWS)
    distances = dict(zip(near.ids.tolist(), near.distances.tolist(), strict=True))
    similarities = dict(zip(near.ids.tolist(), near.scores.tolist(), strict=True))
    scores = dict(zip(words.ids.tolist(), words.scores.tolist(), strict=True))
    hits = docs.search(QUERY, text=WORDS, k=30, fusion=fusion)
    assert len(hits) == 30
    assert (np.diff(hits.scores) <= 0).all()
    for hit in hits:
        assert hit.distance == pytest.approx(distances[hit.id], abs=1e-4)
        assert hit.vector_score == pytest.approx(similarities[hit.id], abs=1e-4)
        assert hit.text_score == pytest.approx(scores.get(hit.id, 0.0), abs=1e-5)
    table = hits.to_arrow()
    assert {"vector_score", "text_score", "combined_score", "vector_rank", "text_rank"} <= set(table.column_names)


def test_a_function_of_the_caller_decides(docs: Collection) -> None:
    seen: list[Candidates] = []

    def by_text_only(candidates: Candidates) -> np.ndarray:
        seen.append(candidates)
        return np.nan_to_num(candidates.text_scores)

    assert docs.search(QUERY, text="n17", k=1, fusion=by_text_only).ids.tolist() == [17]
    assert not np.isnan(seen[0].vector_scores).any()
    with pytest.raises(nearrow.InvalidArgumentError, match="fusion function"):
        docs.search(QUERY, text=WORDS, fusion=lambda candidates: [1.0])
    with pytest.raises(nearrow.InvalidArgumentError, match="did you mean"):
        docs.search(QUERY, text=WORDS, fusion="wieghted")


def test_filters_and_distances_bind_both_sides(docs: Collection) -> None:
    hits = docs.search(QUERY, text=WORDS, k=200, where={"year": 3})
    assert len(hits) == min(200, docs.count({"year": 3}))
    assert set(hits.to_arrow()["year"].to_pylist()) == {3}
    near = docs.search(QUERY, k=150, exact=True)
    within = float(near.distances[-1])
    hits = docs.search(QUERY, text=WORDS, k=500, within=within)
    assert set(hits.ids.tolist()) == set(docs.search(QUERY, k=None, within=within).ids.tolist())
    assert hits.distances.max() <= within + 1e-6


def test_words_that_nothing_holds_leave_the_nearest(docs: Collection) -> None:
    hits = docs.search(QUERY, text="absent", k=7, exact=True)
    assert hits.ids.tolist() == docs.search(QUERY, k=7, exact=True).ids.tolist()
    assert [hit.text_score for hit in hits] == [0.0] * 7


def test_a_reranker_and_variety_reorder_what_was_found(docs: Collection) -> None:
    def backwards(request: Any, hits: nearrow.Hits) -> np.ndarray:
        assert request.text == WORDS
        return -np.asarray([hit.combined_score for hit in hits])

    wide = docs.search(QUERY, text=WORDS, k=20)
    worst = sorted(range(20), key=lambda at: (wide[at].combined_score, at))[:5]
    assert docs.search(QUERY, text=WORDS, k=5, rerank=backwards).ids.tolist() == [wide[at].id for at in worst]
    varied = docs.search(QUERY, text=WORDS, k=5, diversity=0.9)
    assert set(varied.ids.tolist()) <= set(wide.ids.tolist())
    assert varied.ids[0] == wide.ids[0]
    assert docs.search(QUERY, text=WORDS, k=5, diversity=0.0).ids.tolist() == wide.ids.tolist()[:5]
    with pytest.raises(nearrow.InvalidArgumentError, match="rerank"):
        docs.search(QUERY, text=WORDS, k=5, rerank=lambda request, hits: [1.0])


def test_more_candidates_than_rows_and_groups(docs: Collection) -> None:
    hits = docs.search(QUERY, text=WORDS, k=5, group_by="year")
    years = hits.to_arrow()["year"].to_pylist()
    assert len(set(years)) == len(years) == 5
