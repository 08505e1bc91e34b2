"""Are a graph and the mapped vectors below it read from the disk in huge pages?"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from nearrow import HnswIndex

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells")


def _flags(path: Path) -> list[set[str]]:
    """The flags of every part of this process's memory that maps the file."""
    parts = re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text())
    return [set(re.findall(r"VmFlags: (.*)", part)[0].split()) for part in parts if str(path) in part.split("\n", 1)[0]]


def test_graph_and_vectors_are_marked(tmp_path: Path) -> None:
    vectors = np.random.default_rng(3).standard_normal((20_000, 64), dtype=np.float32)
    np.save(tmp_path / "vectors.npy", vectors)
    HnswIndex.build(vectors, metric="l2", ef_construction=20).save(tmp_path / "index")
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    if not Path("/sys/kernel/mm/transparent_hugepage").exists():
        pytest.skip("this system has no huge pages")
    index = HnswIndex.open(tmp_path / "index", mapped)
    for name in ("index", "vectors.npy"):
        parts = _flags(tmp_path / name)
        assert any("hg" in flags for flags in parts), name
    ids, _ = index.search(vectors[7], k=1)
    assert ids.tolist() == [7]


def test_small_vectors_are_left_alone(tmp_path: Path) -> None:
    vectors = np.random.default_rng(3).standard_normal((2_000, 16), dtype=np.float32)  # 128 KB: there is nothing to win
    np.save(tmp_path / "vectors.npy", vectors)
    HnswIndex.build(vectors, metric="l2").save(tmp_path / "index")
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    HnswIndex.open(tmp_path / "index", mapped)
    assert not any("hg" in flags for flags in _flags(tmp_path / "vectors.npy"))
