"""Benchmarks: are the figures of the table computed as it says, and does the harness run end to end?"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from benchmarks.measure import rate_at, recall_by_distance
from benchmarks.run import main
from benchmarks.stages.search import _deciding
from benchmarks.synthetic import lognormal_norms, manifold
from benchmarks.tables import markdown, rate_text, seconds_text

from benchmarks import data, results


def test_rate_between_two_points_is_linear_in_the_logarithm() -> None:
    rate = rate_at([(0.90, 10_000.0), (1.0, 1_000.0)], 0.95)
    assert rate is not None
    assert math.isclose(rate.qps, math.sqrt(10_000.0 * 1_000.0))
    assert not rate.at_least


def test_rate_ignores_points_that_another_beats_in_both() -> None:
    with_slow_point = [(0.90, 10_000.0), (0.94, 500.0), (1.0, 1_000.0)]
    assert rate_at(with_slow_point, 0.95) == rate_at([(0.90, 10_000.0), (1.0, 1_000.0)], 0.95)


def test_rate_below_the_narrowest_beam_is_a_lower_bound() -> None:
    rate = rate_at([(0.97, 8_000.0), (0.99, 4_000.0)], 0.95)
    assert rate is not None
    assert (rate.qps, rate.at_least) == (8_000.0, True)


def test_rate_above_the_best_recall_is_none() -> None:
    assert rate_at([(0.97, 8_000.0)], 0.99) is None


def test_recall_counts_ties_once_and_repeats_not_at_all() -> None:
    base = np.array([[0.0], [1.0], [1.0], [5.0]], np.float32)
    query = np.zeros((1, 1), np.float32)
    _, distances = data.exact_nearest(base, query, "l2", 2)
    assert recall_by_distance([[0, 2]], base, query, distances, "l2", 2) == 1.0
    assert recall_by_distance([[0, 0]], base, query, distances, "l2", 2) == 0.5
    assert recall_by_distance([[3, -1]], base, query, distances, "l2", 2) == 0.0


def test_recall_asks_only_for_rows_that_exist() -> None:
    base = np.arange(3, dtype=np.float32)[:, None]
    query = np.zeros((1, 1), np.float32)
    accept = np.array([False, True, False])
    rows, distances = data.exact_nearest(base, query, "l2", 2, accept=accept)
    assert rows.tolist() == [[1, -1]]
    assert recall_by_distance([[1]], base, query, distances, "l2", 2) == 1.0


@pytest.mark.parametrize("metric", ["l2", "cosine", "dot"])
def test_exact_answers_equal_a_plain_sort_in_float64(metric: str) -> None:
    generator = np.random.default_rng(3)
    base, queries = (generator.standard_normal((rows, 12)).astype(np.float32) for rows in (700, 5))
    rows, distances = data.exact_nearest(base, queries, metric, 10, block=64)
    for query, found, near in zip(queries, rows, distances, strict=True):
        every = data.distances_to(base, query, np.arange(700), metric)
        assert found.tolist() == np.argsort(every, kind="stable")[:10].tolist()
        assert np.array_equal(near, np.sort(every)[:10])


def test_synthetic_rows_depend_on_seed_and_stream_only() -> None:
    first = manifold(500, 16, seed=1)
    assert np.array_equal(first, manifold(500, 16, seed=1))
    assert not np.array_equal(first, manifold(500, 16, seed=2))
    assert not np.array_equal(first[:100], manifold(100, 16, seed=1, stream=1))
    norms = np.linalg.norm(lognormal_norms(first, seed=4, sigma=0.5), axis=1) / np.linalg.norm(first, axis=1)
    assert 0.4 < np.log(norms).std() < 0.6


def test_synthetic_rows_have_the_intrinsic_dimension_asked_for() -> None:
    rows = manifold(2_000, 64, seed=1, intrinsic=5, curvature=0.0, noise=0.0)
    singular = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False)
    assert singular[5] < singular[0] * 1e-4


def test_only_beams_around_the_recalls_of_the_table_are_repeated() -> None:
    recalls = {10: 0.85, 20: 0.93, 40: 0.96, 80: 0.97, 160: 0.98, 320: 0.995, 640: 0.9995}
    assert _deciding({beam: [{"recall": recall}] for beam, recall in recalls.items()}) == [10, 20, 40, 160, 320, 640]


def test_results_keep_what_other_stages_wrote(tmp_path: Path) -> None:
    results.update("tiny", "engine", {"build": {"1": {"seconds": 1.23456789}}}, tmp_path)
    results.update("tiny", "engine", {"at": {"0.9": None}}, tmp_path)
    assert results.read("tiny", "engine", tmp_path) == {
        "engine": "engine", "set": "tiny", "build": {"1": {"seconds": 1.23457}}, "at": {"0.9": None},
    }  # fmt: skip
    assert results.engines("tiny", tmp_path) == ["engine"]


def test_table_cells() -> None:
    assert rate_text(None, None) == "–"
    assert rate_text({"qps": 2000.0, "at_least": True}, {"qps": 1000.0}) == "≥ 2,000 (2.00×)"
    assert seconds_text(0.0123) == "12.3 ms"
    assert markdown(["a", "b"], [["1", "2"]]).splitlines() == ["| a | b |", "| --- | ---: |", "| 1 | 2 |"]


def test_quick_run_builds_opens_and_searches_our_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nearrow.index.hnsw")
    monkeypatch.setenv("NEARROW_BENCH_CACHE", str(tmp_path / "cache"))
    main(["--quick", "--engines", "nearrow", "--stages", "build,search", "--threads", "1", "--core", "0",
          "--results", str(tmp_path / "results")])  # fmt: skip
    figures = results.read("tiny", "nearrow", tmp_path / "results")
    assert figures["build"]["1"]["bytes_on_disk"] > 0
    assert figures["at"]["0.95"]["qps"] > 0
    assert max(point["recall"] for point in figures["curve"]) >= 0.99
