"""Dispatch: does a collection find the same, to the last bit, whichever loops of this processor it is told to use?"""

from __future__ import annotations

import os
import subprocess
import sys

from nearrow import _kernel

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


def test_a_path_that_is_not_there_is_passed_over() -> None:
    assert found_with("abacus")[0] in PATHS
