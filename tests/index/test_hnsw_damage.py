"""HNSW: is a damaged or newer graph file refused, or harmless?"""

from __future__ import annotations

import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from sheets import draw

from nearrow.errors import IncompatibleFormatError
from nearrow.index.hnsw import Graph, Vectors


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
        data = bytearray(good)  # every list names its first neighbours several times
        offset, length = np.frombuffer(data, np.uint64, 2, 232 + 16 * 3).tolist()
        lists = np.frombuffer(data, np.int32, length // 4, offset).reshape(400, -1)
        lists[:] = np.repeat(lists[:, : lists.shape[1] // 4], 4, axis=1)
        attempt(data)
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
