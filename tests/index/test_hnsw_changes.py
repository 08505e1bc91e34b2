"""HNSW: do merges, additions, removals and interrupted builds leave a good index?"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from sheets import METRICS, draw, recall

from nearrow.errors import CorruptionError, DimensionMismatchError, InvalidArgumentError
from nearrow.index.hnsw import Graph, HnswIndex, Vectors, flat_search


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
