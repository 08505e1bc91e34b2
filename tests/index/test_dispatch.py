"""Dispatch: does a collection find the same, to the last bit, whichever loops of this processor it is told to use?"""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np

from nearrow import _kernel
from nearrow.index.hnsw import Graph, Vectors

PATHS = ("scalar", "avx2", "avx512", "neon", "neon_dot")
PROGRAM = """
import numpy as np, nearrow
from nearrow import _kernel
vectors = np.random.default_rng(0).standard_normal((1000, 48)).astype(np.float32)
docs = nearrow.connect(":memory:").create_collection("docs", 48, graph_rows_min=100)
docs.add(ids=range(1000), vectors=vectors)
docs.wait()
print(_kernel.simd())
print([(hit.id, hit.distance) for hits in docs.search(vectors[:20], k=5) for hit in hits])
"""


def found_with(path: str) -> list[str]:
    environment = os.environ | {"NEARROW_SIMD": path}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_every_path_that_is_there_finds_the_same() -> None:
    usual = _kernel.simd()
    there = [path for path in PATHS if _kernel.force_simd(path)]
    assert _kernel.force_simd(usual)
    answers = [found_with(path) for path in there]
    assert [answer[0] for answer in answers] == there
    assert len({answer[1] for answer in answers}) == 1


def test_rings_of_a_sketch_are_the_same_on_every_path() -> None:
    usual = _kernel.simd()
    rows = np.random.default_rng(3).standard_normal((12_000, 40), dtype=np.float32)
    graph = Graph.build(Vectors(rows), metric="l2")
    passes = np.random.default_rng(4).random(len(rows)) < 0.7  # enough blocks for limits by the lowest score of each
    queries = np.concatenate([rows[:40], 9 * rows[40:60]])  # some of them far from everything
    answers = []
    try:
        for path in filter(_kernel.force_simd, PATHS):
            selection = graph.select(np.packbits(passes, bitorder="little"), depth="sketch")
            if selection.has_sketch:
                found = graph.search(queries, 10, ef_search=20, selection=selection, way="sketch", counters=True)
                answers.append((path, *(part.tobytes() for part in found)))
                distances = ((queries[:, None].astype(float) - rows[passes][None]) ** 2).sum(2)
                exact = np.sort(distances, axis=1)[:, :10]
                assert np.mean(found[1] <= exact[:, -1:] * (1 + 1e-6)) >= 0.95
                assert (found[3][:, 1] >= 64).all()
    finally:
        assert _kernel.force_simd(usual)
    assert len({answer[1:] for answer in answers}) <= 1


def test_a_path_that_is_not_there_is_passed_over() -> None:
    assert found_with("abacus")[0] in PATHS
