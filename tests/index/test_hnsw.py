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

from nearrow.errors import CorruptionError, DimensionMismatchError, IncompatibleFormatError, InvalidArgumentError
from nearrow.index.hnsw import Graph, HnswIndex, Vectors, exact_distances, flat_range, flat_search

METRICS = ["l2", "cosine", "dot"]


def draw(rows: int, dimension: int, seed: int = 0) -> np.ndarray:
    """Rows near a curved sheet of few dimensions, as embeddings are."""
    random = np.random.default_rng(seed)
    shape = np.random.default_rng(99)
    latent = random.standard_normal((rows, 8)).astype(np.float32)
    sheet = np.sin(latent @ shape.standard_normal((8, 32)).astype(np.float32)) @ shape.standard_normal(
        (32, dimension)
    ).astype(np.float32)
    return np.ascontiguousarray(sheet + random.standard_normal((rows, dimension)) * 0.05, np.float32)


def reference(rows: np.ndarray, query: np.ndarray, metric: str) -> np.ndarray:
    x, q = rows.astype(np.float64), query.astype(np.float64)
    if metric == "l2":
        return ((x - q) ** 2).sum(1)
    if metric == "dot":
        return -(x @ q)
    return 1 - (x @ q) / (np.linalg.norm(x, axis=1) * np.linalg.norm(q))


def recall(found: np.ndarray, true: np.ndarray) -> float:
    return float(np.mean([len(set(a[a >= 0]) & set(b)) / len(b) for a, b in zip(found, true, strict=True)]))


def by_distance(index: HnswIndex, rows: np.ndarray, queries: np.ndarray, k: int, **options: object) -> float:
    """The share of hits at least as near as the true k-th: fair where distances tie."""
    true = flat_search(Vectors(rows), index.metric, queries, k)[1]
    found = index.search(queries, k, **options)[1]  # type: ignore[arg-type]
    slack = 1e-6 * np.abs(true[:, -1:]) + 1e-9
    return float(np.mean(found <= true[:, -1:] + slack))


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


@pytest.mark.parametrize("share", [0.0005, 0.01, 0.05, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["uncorrelated", "near", "far"])
def test_filtered_search(share: float, kind: str) -> None:
    rows, queries = draw(20000, 24), draw(30, 24, seed=1)
    index = _shared_index(rows)
    count = max(3, int(share * len(rows)))
    if kind == "uncorrelated":
        chosen = np.random.default_rng(0).choice(len(rows), count, replace=False)
    else:
        direction = rows[3] - rows.mean(0)
        order = np.argsort(rows @ direction)[::-1]
        chosen = order[:count]
        # Queries on the filter's side, or away from it.
        side = np.argsort(queries @ direction)
        queries = queries[side[-10:] if kind == "near" else side[:10]]
    mask = np.zeros(len(rows), bool)
    mask[chosen] = True
    true, _, counts = flat_search(Vectors(rows), "l2", queries, 10, accept=np.packbits(mask, bitorder="little"))
    ids, _ = index.search(queries, 10, accept=mask)
    assert ((ids >= 0).sum(1) == counts).all()
    assert (counts == min(10, count)).all()
    assert mask[ids[ids >= 0]].all()
    assert recall(ids, true[:, : counts[0]]) >= 0.9


_INDEXES: dict[int, HnswIndex] = {}


def _shared_index(rows: np.ndarray) -> HnswIndex:
    if len(rows) not in _INDEXES:
        _INDEXES[len(rows)] = HnswIndex.build(rows, "l2")
    return _INDEXES[len(rows)]


def test_filters_in_every_form() -> None:
    index = HnswIndex.build(draw(200, 8), "l2")
    query = draw(1, 8, seed=1)[0]
    mask = np.zeros(200, bool)
    mask[::7] = True
    forms = [mask, np.packbits(mask, bitorder="little"), pa.array(mask), pa.chunked_array([pa.array(mask)])]
    results = {tuple(index.search(query, 5, accept=form)[0].tolist()) for form in forms}
    assert len(results) == 1
    assert index.search(query, 5, accept=np.zeros(200, bool))[0].size == 0
    with pytest.raises(InvalidArgumentError):
        index.search(query, 5, accept=mask[:100])
    with pytest.raises(InvalidArgumentError):
        index.search(query, 5, accept=np.zeros(3, np.uint8))


def test_merge_keeps_adds_and_drops() -> None:
    rows, queries = draw(6000, 32), draw(100, 32, seed=1)
    for metric in METRICS:
        old = Graph.build(Vectors(rows[:4000]), metric=metric)
        alive = np.random.default_rng(4).random(4000) > 0.3
        places = np.full(4000, -1, np.int32)
        places[alive] = np.arange(alive.sum(), dtype=np.int32)
        merged_rows = np.ascontiguousarray(np.concatenate([rows[:4000][alive], rows[4000:]]))
        merged = old.merge(Vectors(merged_rows), places)
        again = old.merge(Vectors(merged_rows), places, threads=2)
        assert merged.buffer == again.buffer
        assert merged.check() == []
        true = flat_search(Vectors(merged_rows), metric, queries, 10)[0]
        fresh = Graph.build(Vectors(merged_rows), metric=metric)
        got = recall(merged.search(queries, 10, ef_search=64)[0], true)
        assert got >= recall(fresh.search(queries, 10, ef_search=64)[0], true) - 0.02


def test_recall_survives_churn() -> None:
    random = np.random.default_rng(6)
    rows, queries = draw(4000, 24), draw(100, 24, seed=1)
    graph = Graph.build(Vectors(rows), metric="l2")
    for turn in range(6):
        alive = random.random(len(rows)) > 0.3
        places = np.full(len(rows), -1, np.int32)
        places[alive] = np.arange(alive.sum(), dtype=np.int32)
        rows = np.ascontiguousarray(np.concatenate([rows[alive], draw(int((~alive).sum()), 24, seed=10 + turn)]))
        graph = graph.merge(Vectors(rows), places)
    assert graph.check() == []
    true = flat_search(Vectors(rows), "l2", queries, 10)[0]
    fresh = Graph.build(Vectors(rows), metric="l2")
    assert (
        recall(graph.search(queries, 10, ef_search=50)[0], true)
        >= recall(fresh.search(queries, 10, ef_search=50)[0], true) - 0.01
    )


def test_add_remove_save_open(tmp_path: Path) -> None:
    rows = draw(3000, 16)
    index = HnswIndex.build(rows[:2000], "cosine")
    assert index.add(rows[2000:]).tolist() == list(range(2000, 3000))
    assert index.remove([5, 7, 7, -1, 99999]) == 2
    assert index.remove([5]) == 0
    assert len(index) == 2998
    assert 5 not in index.search(rows[5], 10)[0]
    index.save(tmp_path / "index")
    opened = HnswIndex.open(tmp_path / "index", rows)
    assert len(opened) == 2998
    for left, right in zip(index.search(rows[:20], 10), opened.search(rows[:20], 10), strict=True):
        assert (left == right).all()
    opened.add(draw(10, 16, seed=9))
    assert 7 not in opened.search(rows[7], 10)[0]
    data = (tmp_path / "index").read_bytes()
    (tmp_path / "short").write_bytes(data[:-3])
    with pytest.raises(CorruptionError):
        HnswIndex.open(tmp_path / "short", rows)
    with pytest.raises(CorruptionError):
        HnswIndex.open(tmp_path / "index", rows[:100])


def test_bad_arguments_are_refused() -> None:
    rows = draw(50, 8)
    index = HnswIndex.build(rows, "cosine")
    with pytest.raises(DimensionMismatchError):
        index.search(np.ones(9, np.float32))
    for query in (np.zeros(8), np.full(8, np.nan), np.full(8, np.inf)):
        with pytest.raises(InvalidArgumentError):
            index.search(query.astype(np.float32))
    for options in ({"k": 0}, {"k": -1}, {"ef_search": 0}):
        with pytest.raises(InvalidArgumentError):
            index.search(rows[0], **options)
    with pytest.raises(InvalidArgumentError):
        HnswIndex.build(rows, "hamming")
    with pytest.raises(InvalidArgumentError):
        HnswIndex.build(rows.astype(np.float64), "l2")
    with pytest.raises(InvalidArgumentError):
        HnswIndex.build(rows[:, ::2], "l2")
    with pytest.raises(InvalidArgumentError):
        HnswIndex.build(rows, "l2", m=1)
    with pytest.raises(DimensionMismatchError):
        index.add(draw(5, 9))


def test_progress_and_cancelling() -> None:
    seen: list[tuple[int, int]] = []
    Graph.build(Vectors(draw(2000, 16)), metric="l2", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (2000, 2000)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    with pytest.raises(InterruptedError):
        Graph.build(Vectors(draw(2000, 16)), metric="l2", cancelled=lambda: True)

    def fail(done: int, total: int) -> None:
        raise RuntimeError("from the callback")

    with pytest.raises(RuntimeError, match="from the callback"):
        Graph.build(Vectors(draw(2000, 16)), metric="l2", progress=fail)


def test_control_c_stops_a_build() -> None:
    program = textwrap.dedent(
        """
        import numpy as np, os, signal, threading
        from nearrow.index.hnsw import Graph, Vectors
        rows = np.random.default_rng(0).standard_normal((200_000, 64), dtype=np.float32)
        threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        try:
            Graph.build(Vectors(rows), metric="l2")
        except KeyboardInterrupt:
            print("stopped")
        """
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == "stopped", done.stderr


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


def test_damaged_graphs_are_refused_or_harmless(tmp_path: Path) -> None:
    """Every kind of damage, in a child process: an error of ours or answers within bounds, never a signal."""
    rows = draw(400, 12)
    graph = Graph.build(Vectors(rows), metric="l2")
    (tmp_path / "graph").write_bytes(graph.buffer.to_pybytes())
    np.save(tmp_path / "rows.npy", rows)
    program = textwrap.dedent(
        """
        import sys
        import numpy as np
        from nearrow.errors import CorruptionError, IncompatibleFormatError
        from nearrow.index.hnsw import Graph, Vectors
        folder = sys.argv[1]
        good = open(folder + "/graph", "rb").read()
        rows = np.load(folder + "/rows.npy")
        vectors = Vectors(rows)
        accept = np.packbits(np.arange(400) % 3 == 0, bitorder="little")
        random = np.random.default_rng(0)
        refused = used = 0

        def attempt(data):
            global refused, used
            try:
                graph = Graph.open(bytes(data), vectors, "l2")
            except (CorruptionError, IncompatibleFormatError):
                refused += 1
                return
            used += 1
            for bits in (None, accept):
                chosen = None if bits is None else graph.select(bits, depth="sketch")
                positions, distances, counts = graph.search(rows[:4], 5, ef_search=30, selection=chosen)
                assert (counts == 5).all() and (positions >= 0).all() and (positions < 400).all()
                true = ((rows[positions[0]].astype(float) - rows[0]) ** 2).sum(1)
                assert np.allclose(true, distances[0], rtol=1e-5, atol=1e-9)
            graph.check()

        for cut in [0, 1, 7, 100, 4095, 4096, 5000, len(good) - 4096, len(good) - 1]:
            attempt(good[:cut])
        for byte in range(0, 700):
            data = bytearray(good); data[byte] ^= 1 << int(random.integers(8)); attempt(data)
        for _ in range(500):
            data = bytearray(good)
            for at in random.integers(4096, len(good), 200):
                data[at] = int(random.integers(256))
            attempt(data)
        for value in (0, 0x7F, 0x80, 0xFF):
            attempt(good[:4096] + bytes([value]) * (len(good) - 4096))
        print(refused, used)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    refused, used = map(int, done.stdout.split())
    assert refused >= 700
    assert used >= 500


def test_check_finds_damage_after_the_header() -> None:
    rows = draw(400, 12)
    good = Graph.build(Vectors(rows), metric="l2").buffer.to_pybytes()
    bad = bytearray(good)
    bad[-5000] ^= 1
    assert Graph.open(good, Vectors(rows), "l2").check() == []
    assert any("digest" in problem for problem in Graph.open(bytes(bad), Vectors(rows), "l2").check())


def test_check_finds_a_position_that_belongs_to_no_node() -> None:
    rows = np.repeat(draw(100, 12), 2, axis=0)
    data = bytearray(Graph.build(Vectors(rows), metric="l2").buffer.to_pybytes())
    offset, length = struct.unpack_from("<QQ", data, 232 + 16 * 6)  # where each node's positions begin
    assert length == 4 * 101
    first = struct.unpack_from("<i", data, struct.unpack_from("<Q", data, 232 + 16 * 5)[0])[0]
    struct.pack_into("<i", data, offset, 1)  # not at the beginning
    problems = Graph.open(bytes(data), Vectors(rows), "l2").check()
    assert any(f"position {first} belongs to no node" in problem for problem in problems), problems


def test_a_newer_graph_is_refused() -> None:
    rows = draw(50, 12)
    data = bytearray(Graph.build(Vectors(rows), metric="l2").buffer.to_pybytes())
    data[8] = 99
    with pytest.raises(IncompatibleFormatError):
        Graph.open(bytes(data), Vectors(rows), "l2")


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
