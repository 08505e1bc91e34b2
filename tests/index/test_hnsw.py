"""HNSW: does the index find what an exact search finds, on every metric, size and shape?"""

from __future__ import annotations

import itertools
import os
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sheets import METRICS, by_distance, draw, recall, reference

from nearrow.index.hnsw import Graph, HnswIndex, Vectors, exact_distances, flat_range, flat_search


@pytest.mark.parametrize("metric", METRICS)
def test_exact_search_equals_float64(metric: str) -> None:
    for dimension in (1, 3, 31, 64, 130, 384):
        rows = draw(300, dimension)
        query = draw(1, dimension, seed=5)[0]
        positions, distances, counts = flat_search(Vectors(rows), metric, query[None], 10)
        true = reference(rows, query, metric)
        assert counts[0] == 10
        np.testing.assert_allclose(distances[0], np.sort(true)[:10], rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(true[positions[0]], np.sort(true)[:10], rtol=1e-6, atol=1e-9)


def test_cosine_distance_is_right_near_zero() -> None:
    rows = draw(50, 384)
    query = rows[7] * 2.5 + np.float32(1e-4)
    found = exact_distances(Vectors(rows), "cosine", query, np.arange(50))
    np.testing.assert_allclose(found, reference(rows, query, "cosine"), rtol=1e-5, atol=1e-14)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("codes", [4, 8, None])
def test_recall_floor(metric: str, codes: object) -> None:
    rows, queries = draw(4000, 48), draw(100, 48, seed=1)
    index = HnswIndex.build(rows, metric, codes=codes)  # type: ignore[arg-type]
    true = flat_search(Vectors(rows), metric, queries, 10)[0]
    assert recall(index.search(queries, 10, ef_search=100)[0], true) >= 0.97
    assert index.check() == []


def test_recall_on_wordnet(wordnet_10k: pa.Table, wordnet_queries: np.ndarray) -> None:
    rows, queries = np.stack(wordnet_10k["vector"].combine_chunks().to_numpy(zero_copy_only=False)), wordnet_queries
    index = HnswIndex.build(rows, "cosine")
    true = flat_search(Vectors(rows), "cosine", queries, 10)[0]
    assert recall(index.search(queries, 10, ef_search=100)[0], true) >= 0.98
    assert recall(index.search(queries, 10)[0], true) >= 0.92
    assert index.check() == []


def test_recall_on_fashion_mnist(fashion: object) -> None:
    rows, queries = fashion.base[:10_000], fashion.queries[:200]  # type: ignore[attr-defined]
    index = HnswIndex.build(rows, "l2")
    true = flat_search(Vectors(rows), "l2", queries, 10)[0]
    assert recall(index.search(queries, 10, ef_search=64)[0], true) >= 0.98


def test_dot_finds_long_rows() -> None:
    rows, queries = draw(5000, 64), draw(100, 64, seed=2)
    norms = np.exp(np.random.default_rng(3).normal(0, 0.4, len(rows))).astype(np.float32)
    rows = np.ascontiguousarray(rows * norms[:, None])
    index = HnswIndex.build(rows, "dot", threads=1)
    true = flat_search(Vectors(rows), "dot", queries, 10)[0]
    assert recall(index.search(queries, 10, ef_search=128)[0], true) >= 0.95
    assert index.check() == []  # short rows can be reached, too
    assert HnswIndex.build(rows, "dot", threads=3).graph.buffer == index.graph.buffer


@pytest.mark.parametrize("beam", [1, 2, 3])
def test_dot_builds_with_the_narrowest_beams(beam: int) -> None:
    """The few links by direction are looked for with a part of the beam, which is never none of it."""
    rows = draw(1000, 24)
    index = HnswIndex.build(rows, "dot", ef_construction=beam)
    assert index.check() == []
    true = flat_search(Vectors(rows), "dot", rows[:50], 10)[0]
    assert recall(index.search(rows[:50], 10, ef_search=500)[0], true) >= 0.95


@pytest.mark.parametrize("dimension", [1, 2, 7, 16, 63, 64, 65, 127, 129, 200, 1030])
def test_every_dimension(dimension: int) -> None:
    rows, queries = draw(600, dimension), draw(30, dimension, seed=1)
    for metric in METRICS:
        index = HnswIndex.build(rows, metric)
        assert by_distance(index, rows, queries, 10, ef_search=150) >= (0.97 if dimension > 1 else 0.9), metric
        assert index.check() == []


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 11])
def test_few_rows(rows: int) -> None:
    vectors = draw(rows, 8) if rows else np.empty((0, 8), np.float32)
    for metric in METRICS:
        index = HnswIndex.build(vectors, metric)
        ids, distances = index.search(draw(1, 8, seed=4)[0], k=10)
        assert sorted(ids.tolist()) == list(range(min(rows, 10))) or rows > 10
        assert len(ids) == min(rows, 10)
        assert (np.diff(distances) >= 0).all()
        assert index.check() == []


def test_k_beyond_the_rows_returns_them_all() -> None:
    index = HnswIndex.build(draw(500, 8), "l2")
    ids, distances = index.search(draw(3, 8, seed=1), k=2000)
    assert ids.shape == (3, 500)
    assert all(sorted(row) == list(range(500)) for row in ids.tolist())
    assert (np.diff(distances, axis=1) >= 0).all()


def test_equal_rows_and_zero_rows() -> None:
    for value in (0.0, 1.5):
        rows = np.full((1500, 16), value, np.float32)
        for metric in METRICS:
            index = HnswIndex.build(rows, metric)
            ids, _ = index.search(np.ones(16, np.float32), k=10)
            assert ids.tolist() == list(range(10))
            assert index.check() == []


def test_a_thousand_rows_fifty_times_each() -> None:
    distinct = draw(1000, 32)
    rows = np.ascontiguousarray(np.tile(distinct, (50, 1)))
    index = HnswIndex.build(rows, "l2")
    assert index.stats()["nodes"] == 1000
    assert index.check() == []
    queries = draw(100, 32, seed=8)
    assert by_distance(index, rows, queries, 10) >= 0.99  # at the default target: copies are found or missed together
    assert by_distance(index, rows, queries, 10, ef_search=100) >= 0.99
    assert by_distance(index, rows, queries, 120, ef_search=50) >= 0.99


def test_ties_come_in_order_of_position() -> None:
    rows = np.ascontiguousarray(np.repeat(draw(100, 8), 5, axis=0))
    ids, _ = HnswIndex.build(rows, "l2").search(rows[40], k=5)
    assert ids.tolist() == [40, 41, 42, 43, 44]


def test_the_graph_does_not_depend_on_the_threads() -> None:
    rows = draw(3000, 40)
    for metric in METRICS:
        graphs = [Graph.build(Vectors(rows), metric=metric, threads=threads) for threads in (1, 2, 3)]
        assert len({graph.buffer.to_pybytes() for graph in graphs}) == 1
    assert Graph.build(Vectors(rows), metric="l2", seed=1).buffer != graphs[0].buffer


def test_batches_equal_single_queries() -> None:
    rows, queries = draw(3000, 40), draw(70, 40, seed=1)
    index = HnswIndex.build(rows, "l2")
    ids, distances = index.search(queries, 10, threads=2)
    for query, row, near in zip(queries, ids, distances, strict=True):
        single = index.search(query, 10)
        assert single[0].tolist() == row.tolist()
        assert single[1].tolist() == near.tolist()


def test_float16_rows() -> None:
    rows, queries = draw(2000, 50).astype(np.float16), draw(40, 50, seed=1)
    for metric in METRICS:
        index = HnswIndex.build(rows, metric)
        assert by_distance(index, rows, queries, 10, ef_search=100) >= 0.97
        query = queries[0]
        ids, distances = index.search(query, 10)
        np.testing.assert_allclose(distances, reference(rows, query, metric)[ids], rtol=1e-5, atol=1e-6)


def test_chunks_of_any_size() -> None:
    rows = draw(3000, 24)
    cuts = [0, 1, 700, 700, 1724, 2999, 3000]
    arrays = [pa.FixedSizeListArray.from_arrays(pa.array(rows[a:b].ravel()), 24) for a, b in itertools.pairwise(cuts)]
    whole = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), 24)
    chunked = Graph.build(Vectors(pa.chunked_array(arrays)), metric="cosine")
    sliced = Graph.build(Vectors([whole.slice(0, 100), whole.slice(100)]), metric="cosine")
    single = Graph.build(Vectors(rows), metric="cosine")
    assert chunked.buffer == single.buffer
    assert sliced.buffer == single.buffer
    queries = draw(20, 24, seed=1)
    for left, right in zip(chunked.search(queries, 7), single.search(queries, 7), strict=True):
        assert (left == right).all()


def test_range_search_is_exact() -> None:
    rows, query = draw(500, 12), draw(1, 12, seed=1)[0]
    true = reference(rows, query, "l2")
    radius = float(np.sort(true)[37])
    positions, distances = flat_range(Vectors(rows), "l2", query, radius * (1 + 1e-6))
    assert sorted(positions.tolist()) == sorted(np.argsort(true)[:38].tolist())
    assert (np.diff(distances) >= 0).all()


@pytest.mark.parametrize("name", ["scalar", "avx2", "neon"])
def test_every_instruction_set_gives_the_same_bits(name: str, tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import hashlib, sys
        import numpy as np
        from nearrow import _kernel
        from nearrow.index.hnsw import Graph, Vectors, flat_search
        print(_kernel.simd())
        digest = hashlib.sha256()
        random = np.random.default_rng(0)
        for dimension in (5, 64, 100, 128, 200, 784):
            for dtype in (np.float32, np.float16):
                rows = random.standard_normal((400, dimension)).astype(dtype)
                if dimension == 784:
                    rows[:, ::40] *= 0.01  # these need no codes
                queries = random.standard_normal((20, dimension)).astype(np.float32)
                for metric in ("l2", "cosine", "dot"):
                    graph = Graph.build(Vectors(rows), metric=metric, codes=8 if dimension == 100 else 4)
                    digest.update(graph.buffer.to_pybytes())
                    for array in (*graph.search(queries, 5, ef_search=40), *flat_search(Vectors(rows), metric, queries, 5)):
                        digest.update(array.tobytes())
        print(digest.hexdigest())
        """
    )

    def run(wanted: str) -> list[str]:
        environment = {**os.environ, "NEARROW_SIMD": wanted}
        return subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        ).stdout.split()

    chosen, digest = run(name)
    if chosen != name:
        pytest.skip(f"this machine lacks {name}")
    assert run("best")[1] == digest


def test_searches_run_beside_each_other() -> None:
    from concurrent.futures import ThreadPoolExecutor

    rows, queries = draw(3000, 24), draw(200, 24, seed=1)
    index = HnswIndex.build(rows, "l2")
    expected = index.search(queries, 10)[0]
    with ThreadPoolExecutor(8) as pool:
        for ids in pool.map(lambda _: index.search(queries, 10)[0], range(16)):
            assert (ids == expected).all()


def test_no_node_is_scored_twice_on_the_way_down() -> None:
    rows = draw(300, 8)
    index = HnswIndex.build(rows, metric="l2", seed=1)
    all_nodes, above = struct.unpack_from("<2Q", index.graph.buffer, 104)  # level_nodes: docs/formats/graph.md
    assert all_nodes == 300
    assert above > 0
    counted = index.graph.search(rows[:50], 10, ef_search=300, counters=True)[3]
    assert counted[:, 1].max() <= all_nodes + above
