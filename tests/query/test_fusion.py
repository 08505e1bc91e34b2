"""Fusion: do two rankings become the one that the formulas say?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearrow.errors import InvalidArgumentError
from nearrow.query.fusion import (
    RRF,
    Candidates,
    Custom,
    Max,
    Min,
    Ranking,
    Weighted,
    fuse,
    fuse_ranks,
    parse_fusion,
    similarity,
)
from nearrow.query.reorder import by_diversity, by_scores

A, B, C = 10, 20, 30


def ranking(scores: dict[int, float], truth: dict[int, float] | None = None, exhausted: bool = False) -> Ranking:
    order = sorted(scores, key=lambda row: (-scores[row], row))
    known = truth or {}
    return Ranking(
        np.array(order, np.uint64),
        np.array([scores[row] for row in order], np.float64),
        lambda rows: np.array([known.get(int(row), np.nan) for row in rows]),
        exhausted,
    )


def test_rrf_adds_reciprocal_ranks() -> None:
    vector = ranking({A: 0.9, B: 0.8, C: 0.7})
    text = ranking({C: 5.0, A: 4.0})
    fused = fuse(vector, text, RRF(), 10)
    assert fused.rows.tolist() == [A, C, B]
    expected = [1 / 61 + 1 / 62, 1 / 63 + 1 / 61, 1 / 62]
    np.testing.assert_allclose(fused.combined_scores, expected, atol=1e-12)
    assert fused.vector_ranks.tolist() == [1, 3, 2]
    assert fused.text_ranks.tolist() == [2, 1, 0]


@given(st.data())
def test_rrf_equals_the_formula_for_any_rankings(data: st.DataObject) -> None:
    rows = st.lists(st.integers(0, 30), unique=True, max_size=20)
    left, right = data.draw(rows), data.draw(rows)
    k = data.draw(st.sampled_from([1.0, 20.0, 60.0]))
    fused = fuse(
        ranking({row: -float(n) for n, row in enumerate(left)}),
        ranking({row: -float(n) for n, row in enumerate(right)}),
        RRF(k),
        100,
    )
    expected = {
        row: sum(1 / (k + side.index(row) + 1) for side in (left, right) if row in side) for row in {*left, *right}
    }
    order = sorted(expected, key=lambda row: (-expected[row], row))
    np.testing.assert_allclose(fused.combined_scores, [expected[row] for row in order], atol=1e-9)
    np.testing.assert_allclose(fused.combined_scores, [expected[int(row)] for row in fused.rows], atol=1e-9)


def test_a_row_of_one_side_gets_the_true_score_of_the_other() -> None:
    vector = ranking({A: 0.9, B: 0.5}, truth={C: 0.6})
    text = ranking({C: 4.0, A: 2.0})
    fused = fuse(vector, text, Weighted(0.5, 0.5), 10)
    by_row = dict(zip(fused.rows.tolist(), zip(fused.vector_scores, fused.text_scores, strict=True), strict=True))
    assert by_row[C] == (0.6, 4.0)
    assert np.isnan(by_row[B][1])  # B does not match the text: BM25 0, shown as no score
    np.testing.assert_allclose(
        dict(zip(fused.rows.tolist(), fused.combined_scores, strict=True))[C], 0.5 * 0.25 + 0.5 * 1.0
    )


def test_weights_and_extremes_use_normalised_scores() -> None:
    vector, text = ranking({A: 1.0, B: 0.5, C: 0.0}), ranking({A: 0.0, B: 10.0, C: 5.0})
    assert fuse(vector, text, Weighted(0.7, 0.3), 9).combined_scores.tolist() == pytest.approx([0.7, 0.65, 0.15])
    assert fuse(vector, text, Max(), 9).combined_scores.tolist() == [1.0, 1.0, 0.5]
    assert fuse(vector, text, Max(), 9).rows.tolist() == [A, B, C]
    assert fuse(vector, text, Min(), 9).rows.tolist() == [B, A, C]
    z = fuse(vector, text, Weighted(0.5, 0.5, normalise="z"), 9)
    np.testing.assert_allclose(z.combined_scores.mean(), 0.0, atol=1e-12)


def test_ties_fall_to_the_smaller_row_number() -> None:
    fused = fuse(ranking({C: 1.0}), ranking({A: 1.0}), RRF(), 2)
    assert fused.rows.tolist() == [A, C]


def test_a_side_that_found_nothing_leaves_the_other_in_its_order() -> None:
    for name in ("rrf", "weighted", "max", "average"):
        fused = fuse(ranking({C: 3.0, A: 2.0, B: 1.0}), ranking({}), parse_fusion(name), 10)
        assert fused.rows.tolist() == [C, A, B], name
    assert len(fuse(ranking({}), ranking({}), RRF(), 5).rows) == 0


def test_names_objects_and_functions_are_understood() -> None:
    assert parse_fusion("rrf") == RRF(60)
    assert parse_fusion("weighted") == Weighted(0.7, 0.3)
    assert parse_fusion("average") == Weighted(0.5, 0.5)
    assert parse_fusion(RRF(10)) == RRF(10)
    fused = fuse(ranking({A: 1.0, B: 2.0}), ranking({}), parse_fusion(lambda c: -c.vector_scores), 2)
    assert fused.rows.tolist() == [A, B]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: parse_fusion("rff"), "did you mean 'rrf'"),
        (lambda: parse_fusion(3), "must be a name"),  # type: ignore[arg-type]
        (lambda: parse_fusion(RRF), r"write RRF\(\)"),  # type: ignore[arg-type]
        (lambda: RRF(0), "k > 0"),
        (lambda: RRF(float("nan")), "k > 0"),
        (lambda: Weighted(-1, 1), "weights"),
        (lambda: Weighted(0, 0), "weights"),
        (lambda: Weighted(normalise="max"), "normalise"),
    ],
)
def test_bad_fusions_are_refused(make: object, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("output", [[1.0], [1.0, float("nan")], "ab", [[1.0, 2.0]]])
def test_what_a_function_returns_is_checked(output: object) -> None:
    with pytest.raises(InvalidArgumentError, match="fusion function"):
        fuse(ranking({A: 1.0, B: 2.0}), ranking({}), Custom(lambda candidates: output), 2)  # type: ignore[arg-type,return-value]


@given(st.data())
def test_settled_means_that_longer_rankings_change_nothing(data: st.DataObject) -> None:
    count = 40
    score = st.lists(st.floats(0, 1, width=32), min_size=count, max_size=count, unique=True)
    vector, text = (np.array(data.draw(score)) for _ in range(2))
    fusion = data.draw(st.sampled_from([RRF(), RRF(2), Weighted(), Weighted(0.2, 0.8)]))
    limit = data.draw(st.integers(1, 5))

    def side(scores: np.ndarray, depth: int) -> Ranking:
        order = np.lexsort((np.arange(count), -scores))[:depth].astype(np.uint64)
        return Ranking(order, scores[order.astype(int)], lambda rows: scores[rows.astype(int)], depth >= count)

    whole = fuse(side(vector, count), side(text, count), fusion, limit)
    assert whole.settled
    for depth in (5, 10, 20, 39):
        part = fuse(side(vector, depth), side(text, depth), fusion, limit)
        if part.settled and isinstance(fusion, RRF):
            assert set(part.rows.tolist()) == set(whole.rows.tolist())


def test_similarity_is_larger_for_what_is_nearer() -> None:
    distances = np.array([0.0, 0.5, 2.0], np.float32)
    assert similarity(distances, "cosine").tolist() == [1.0, 0.5, -1.0]
    assert similarity(distances, "dot").tolist() == [0.0, -0.5, -2.0]
    assert similarity(distances, "l2").tolist() == pytest.approx([1.0, 2 / 3, 1 / 3])


def test_rerank_orders_by_its_scores_and_keeps_ties() -> None:
    order, scores = by_scores([1.0, 3.0, 1.0, 2.0], 4)
    assert order.tolist() == [1, 3, 0, 2]
    assert scores.tolist() == [3.0, 2.0, 1.0, 1.0]
    with pytest.raises(InvalidArgumentError, match="rerank"):
        by_scores([1.0], 2)


def test_diversity_puts_something_else_before_a_copy() -> None:
    vectors = np.array([[1, 0], [1, 0.001], [0, 1]], np.float32)
    relevance = np.array([1.0, 0.99, 0.5])
    assert by_diversity(vectors, relevance, 3, 0.0).tolist() == [0, 1, 2]
    assert by_diversity(vectors, relevance, 3, 0.5).tolist() == [0, 2, 1]
    assert by_diversity(vectors, relevance, 2, 1.0).tolist() == [0, 2]
    assert by_diversity(vectors[:0], relevance[:0], 3, 0.5).tolist() == []
    with pytest.raises(InvalidArgumentError, match="diversity"):
        by_diversity(vectors, relevance, 3, 1.5)


def test_candidates_are_the_union_in_row_order() -> None:
    seen: list[Candidates] = []
    fuse(ranking({C: 1.0, A: 0.5}), ranking({B: 1.0}), Custom(lambda c: (seen.append(c), c.rows)[1]), 5)
    assert seen[0].rows.tolist() == [A, B, C]


@given(st.data())
def test_the_quick_fusion_by_ranks_is_the_same(data: st.DataObject) -> None:
    sides = []
    for _ in range(2):
        rows = np.array(data.draw(st.lists(st.integers(0, 30), unique=True, max_size=20)), np.uint64)
        sides.append(Ranking(rows, -np.arange(len(rows), dtype=np.float64)))
    limit = data.draw(st.integers(1, 40))
    quick, whole = fuse_ranks(*sides, RRF(7), limit), fuse(*sides, RRF(7), limit)
    for name in ("rows", "combined_scores", "vector_scores", "text_scores", "vector_ranks", "text_ranks"):
        np.testing.assert_array_equal(getattr(quick, name), getattr(whole, name), err_msg=name)
