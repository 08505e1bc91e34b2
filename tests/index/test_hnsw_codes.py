"""Codes: do rows lie well, are dimensions left out only when it costs nothing, and do files of before open?"""

from __future__ import annotations

import struct
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
from sheets import METRICS, by_distance, draw

from nearrow import CorruptionError
from nearrow.index.hnsw import Graph, HnswIndex, Vectors

SOME_CODED, SPACED_ROWS = 1, 2  # docs/formats/graph.md
HIGH, LOW = 1, 2
LISTS = 4 * 2 * 16  # bytes of a node's neighbours


def flags_of(index: HnswIndex) -> int:
    return int(struct.unpack_from("<I", index.graph.buffer, 16)[0])


def coded_of(index: HnswIndex) -> list[int]:
    """The dimensions that have codes, as the file names them."""
    (count,) = struct.unpack_from("<I", index.graph.buffer, 632)
    (origin,) = struct.unpack_from("<Q", index.graph.buffer, 232)
    return np.frombuffer(index.graph.buffer, np.int32, count, origin + 4 * count).tolist()


def with_still_dimensions(rows: int, seed: int = 0) -> np.ndarray:
    """300 dimensions, of which 44 hardly vary, here and there."""
    drawn = draw(rows, 300, seed)
    drawn[:, still_dimensions()] *= 0.01
    drawn[:, still_dimensions()] += 7.0
    return drawn


def still_dimensions() -> list[int]:
    return list(range(3, 300, 300 // 44))[:44]


def sealed(data: bytearray) -> bytes:
    """The graph with the checksum of its header made right again."""
    struct.pack_into("<I", data, 12, 0)
    struct.pack_into("<I", data, 12, google_crc32c.value(bytes(data[:4096])))
    return bytes(data)


@pytest.mark.parametrize(
    ("dimension", "codes", "walked"),
    [(12, 4, 8), (48, 4, 32), (100, 4, 64), (128, 4, 64), (200, 4, 128), (300, 4, 192), (100, 8, 128), (300, 8, 320)],
)
def test_rows_of_codes_lie_in_as_few_lines_as_they_can(dimension: int, codes: int, walked: int) -> None:
    index = HnswIndex.build(draw(300, dimension), "l2", codes=codes)  # type: ignore[arg-type]
    assert index.stats()["walk_bytes_per_node"] == walked + LISTS
    assert index.check() == []


@pytest.mark.parametrize("codes", [4, 8])
@pytest.mark.parametrize("metric", METRICS)
def test_still_dimensions_have_no_codes_and_are_measured_all_the_same(metric: str, codes: int) -> None:
    rows, queries = with_still_dimensions(3000), with_still_dimensions(100, seed=1)
    if metric != "l2":  # directions: what all rows share would leave little else
        rows[:, still_dimensions()] -= 7.0
        queries[:, still_dimensions()] -= 7.0
    index = HnswIndex.build(rows, metric, codes=codes)  # type: ignore[arg-type]
    assert flags_of(index) & SOME_CODED
    assert coded_of(index) == [j for j in range(300) if j not in still_dimensions()]
    assert index.stats()["walk_bytes_per_node"] == (128 if codes == 4 else 256) + LISTS
    assert by_distance(index, rows, queries, 10, ef_search=100) >= 0.97
    # Far away in dimensions without codes: all rows are farther by the same, and distances say so.
    queries[:, still_dimensions()] += 3.0
    assert by_distance(index, rows, queries, 10, ef_search=100) >= 0.95


def test_filters_and_added_rows_with_still_dimensions(tmp_path: Path) -> None:
    rows, queries = with_still_dimensions(2000), with_still_dimensions(50, seed=1)
    index = HnswIndex.build(rows[:1500], "l2")
    index.add(rows[1500:])
    index.save(tmp_path / "index")
    again = HnswIndex.open(tmp_path / "index", rows, "l2")
    assert again.check() == []
    assert flags_of(again) & SOME_CODED
    assert by_distance(again, rows, queries, 10, ef_search=100) >= 0.97
    few = np.random.default_rng(2).random(2000) < 0.1
    for query in queries:
        ids, distances = again.search(query, 10, accept=few)
        true = np.sort(((rows[few].astype(np.float64) - query) ** 2).sum(1))[:10]
        assert few[ids].all()
        assert (distances <= true[-1] * (1 + 1e-5)).mean() >= 0.8


def test_dimensions_that_vary_all_have_codes() -> None:
    assert not flags_of(HnswIndex.build(draw(1000, 130), "l2")) & SOME_CODED
    # Few rows do not tell which dimensions are still.
    assert not flags_of(HnswIndex.build(with_still_dimensions(200), "l2")) & SOME_CODED


@pytest.mark.parametrize("damage", ["order", "range", "count", "none", "stride"])
def test_a_damaged_list_of_coded_dimensions_is_refused(damage: str) -> None:
    rows = with_still_dimensions(300)
    data = bytearray(HnswIndex.build(rows, "l2").graph.buffer.to_pybytes())
    (origin,) = struct.unpack_from("<Q", data, 232)
    first = origin + 4 * 256
    if damage == "order":
        data[first : first + 8] = data[first + 4 : first + 8] + data[first : first + 4]
    elif damage == "range":
        struct.pack_into("<i", data, first + 4 * 255, 300)
    elif damage == "count":
        struct.pack_into("<I", data, 632, 301)
    elif damage == "none":
        struct.pack_into("<I", data, 632, 0)
    else:
        struct.pack_into("<I", data, 16, SOME_CODED | SPACED_ROWS)
        struct.pack_into("<I", data, 636, 127)
    with pytest.raises(CorruptionError):
        Graph.open(sealed(data), Vectors(rows), "l2")


@pytest.mark.parametrize(("dimension", "codes"), [(100, 4), (300, 4), (300, 8)])
def test_graphs_of_before_with_rows_close_together_still_open(dimension: int, codes: int) -> None:
    rows, queries = draw(500, dimension), draw(50, dimension, seed=1)
    new = Graph.build(Vectors(rows), metric="l2", codes=codes)  # type: ignore[arg-type]
    data = bytearray(new.buffer.to_pybytes())
    (stride,) = struct.unpack_from("<I", data, 636)
    pairs = (dimension % 128 + 1) // 2
    length = (dimension // 128 * 64 + (pairs + 7) // 8 * 8) * (codes // 4)
    assert length < stride
    for section in (HIGH, LOW) if codes == 4 else (HIGH,):
        at, size = struct.unpack_from("<QQ", data, 232 + 16 * section)
        close = np.frombuffer(data, np.uint8, size, at).reshape(500, stride)[:, :length].tobytes()
        data[at : at + len(close)] = close
        struct.pack_into("<Q", data, 232 + 16 * section + 8, len(close))
    struct.pack_into("<I", data, 16, 0)
    struct.pack_into("<I", data, 636, 0)
    old = Graph.open(sealed(data), Vectors(rows), "l2")
    for before, now in zip(old.search(queries, 10, ef_search=30), new.search(queries, 10, ef_search=30), strict=True):
        np.testing.assert_array_equal(before, now)
    assert old.stats()["walk_bytes_per_node"] == length + LISTS


def test_a_beam_may_be_narrower_than_k() -> None:
    rows, queries = draw(20_000, 32), draw(200, 32, seed=1)
    index = HnswIndex.build(rows, "l2")
    hits, work = [], []
    for beam in (1, 25, 50, 100, 200):
        ids, distances, _, counted = index.graph.search(queries, 100, ef_search=beam, counters=True)
        assert (ids >= 0).all()
        assert (np.diff(distances, axis=1) >= 0).all()
        assert (counted[:, 3] == 0).all()  # found by the walk, not by looking at every row
        hits.append(by_distance(index, rows, queries, 100, ef_search=beam))
        work.append(counted[:, 1].mean())
    assert hits == sorted(hits)
    assert work == sorted(work)
    assert hits[2] >= 0.85
    assert work[1] < 0.7 * work[3]
