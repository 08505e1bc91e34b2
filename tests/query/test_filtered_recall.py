"""Filtered recall: are the nearest rows that pass found, however few pass and wherever they lie?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import nearrow
from nearrow import _kernel
from nearrow.collection import Collection
from nearrow.index.graph import GIVEN_UP, WAY_NUMBERS, Graph, Way, crossovers
from nearrow.index.vectors import Vectors

SHARES = [0.0001, 0.001, 0.003, 0.01, 0.05, 0.10, 0.40, 0.90]
CORRELATIONS = ["uncorrelated", "correlated", "anti-correlated"]
ANCHOR = 42
QUERIES = 40
NO_SKETCHES = "sketches do not pay without vector loops"


class Planted:
    """10,000 real rows in one segment; `random_rank` is a random order, `anchor_rank` the order of nearness to one row."""

    def __init__(self, rows: pa.Table, queries: np.ndarray) -> None:
        vectors = rows["vector"].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)
        self.unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        self.ranks = {
            "random_rank": np.random.default_rng(5).permutation(len(rows)),
            "anchor_rank": np.argsort(np.argsort(-self.unit @ self.unit[ANCHOR], kind="stable"), kind="stable"),
        }
        near = np.argsort(-queries @ self.unit[ANCHOR], kind="stable")
        self.queries = {
            "uncorrelated": queries[:QUERIES],
            "correlated": queries[near[:QUERIES]],
            "anti-correlated": queries[near[::-1][:QUERIES]],
        }
        columns = {name: pa.array(values.astype(np.int32)) for name, values in self.ranks.items()}
        table = rows.select(["id", "vector", "pos", "lexname", "n_words"])
        for name, values in columns.items():
            table = table.append_column(name, values)
        database = nearrow.connect(":memory:")
        self.collection: Collection = database.create_collection("planted", dimension=384, metric="cosine")
        self.collection.add(table)
        self.collection.compact()
        self.table = table

    def passing(self, share: float, correlation: str) -> tuple[dict[str, Any], np.ndarray]:
        column = "random_rank" if correlation == "uncorrelated" else "anchor_rank"
        bound = max(1, round(share * len(self.unit)))
        return {column: {"$lt": bound}}, self.ranks[column] < bound

    def limits(self, queries: np.ndarray, passes: np.ndarray) -> np.ndarray:
        """The distance of the tenth (or last) row that passes, for each query."""
        unit = queries / np.linalg.norm(queries, axis=1, keepdims=True)
        distances = np.sort(1 - unit @ self.unit[passes].T, axis=1)
        return np.asarray(distances[:, min(10, distances.shape[1]) - 1])


@pytest.fixture(scope="module")
def planted(wordnet_10k: pa.Table, wordnet_queries: np.ndarray) -> Planted:
    return Planted(wordnet_10k, wordnet_queries)


@pytest.mark.parametrize("correlation", CORRELATIONS)
@pytest.mark.parametrize("share", SHARES)
def test_recall_holds_at_every_selectivity(planted: Planted, share: float, correlation: str) -> None:
    where, passes = planted.passing(share, correlation)
    queries = planted.queries[correlation]
    wanted = min(10, int(passes.sum()))
    found = []
    for query, limit in zip(queries, planted.limits(queries, passes), strict=True):
        hits = planted.collection.search(query, k=10, where=where)
        assert len(hits) == wanted
        found.append(np.count_nonzero(hits.distances <= limit + 1e-5) / wanted)
    assert np.mean(found) >= 0.95


@pytest.mark.parametrize("where", [{"pos": "adj"}, {"lexname": "noun.plant"}, {"n_words": {"$gte": 8}}], ids=str)
def test_recall_holds_under_real_metadata(planted: Planted, where: dict[str, Any]) -> None:
    assert planted.collection.recall(k=10, sample=60, where=where) >= 0.95


@pytest.mark.parametrize("way", ["scan", "through", "two hops", "sketch"])
@pytest.mark.parametrize("correlation", CORRELATIONS)
@pytest.mark.parametrize("share", [0.0002, 0.003, 0.1, 0.4, 0.9])
def test_every_way_fills_its_answer(planted: Planted, share: float, correlation: str, way: Way) -> None:
    """Ways that the planner would not take here must be complete, too; those that it would are good."""
    _, passes = planted.passing(share, correlation)
    queries = planted.queries[correlation]
    (part,) = planted.collection._view().parts
    assert part.graph is not None
    selection = part.graph.select(np.packbits(passes, bitorder="little"), depth="sketch")
    if way == "sketch" and not selection.has_sketch:
        pytest.skip(NO_SKETCHES)
    positions, distances, counts, counters = part.graph.search(
        queries,
        10,
        ef_search=64,
        selection=selection,
        counters=True,
        way=way,
    )
    wanted = min(10, int(passes.sum()))
    assert (counts == wanted).all()
    assert passes[positions[:, :wanted]].all()
    assert (np.diff(distances[:, :wanted], axis=1) >= 0).all()
    limits = planted.limits(queries, passes)
    found = np.count_nonzero(distances[:, :wanted] <= limits[:, None] + 1e-5) / (wanted * len(queries))
    assert found >= (0.95 if share >= 0.1 or way in ("scan", "sketch") else 0.6)
    ways = set((counters[:, 3] % GIVEN_UP).tolist())
    assert ways <= {WAY_NUMBERS[way], 4}


def test_a_filter_that_is_asked_again_gets_a_sketch(planted: Planted) -> None:
    if crossovers()[2] == 0:
        pytest.skip(NO_SKETCHES)
    where, _ = planted.passing(0.17, "uncorrelated")
    query = planted.queries["uncorrelated"][0]
    ways = []
    for _ in range(9):  # each asks twice: to answer, and to count
        (part,) = planted.collection.search(query, k=10, where=where, explain=True).explanation.plan.parts
        ways.append((part.strategy, part.measured["way"]))
    assert ways[0][1] == "scan"
    assert ways[-1] == ("sketch scan", "sketch")


def test_sketches_score_alike_with_every_instruction_set(planted: Planted) -> None:
    (part,) = planted.collection._view().parts
    assert part.graph is not None
    _, passes = planted.passing(0.4, "anti-correlated")
    selection = part.graph.select(np.packbits(passes, bitorder="little"), depth="sketch")
    if not selection.has_sketch:
        pytest.skip(NO_SKETCHES)
    queries = planted.queries["anti-correlated"]
    usual = _kernel.simd()
    try:
        answers = []
        for name in ("scalar", usual):
            assert _kernel.force_simd(name)
            answers.append(part.graph.search(queries, 10, selection=selection, way="sketch", counters=True))
    finally:
        _kernel.force_simd(usual)
    for one, other in zip(*answers, strict=True):
        assert np.array_equal(one, other)


def test_dot_products_and_most_of_a_large_graph_get_no_sketch() -> None:
    rows = np.random.default_rng(1).standard_normal((3_000, 16)).astype(np.float32)
    half = np.packbits(np.arange(3_000) % 2 == 0, bitorder="little")
    for metric, expected in (("l2", True), ("cosine", True), ("dot", False)):
        graph = Graph.build(Vectors(rows), metric=metric, threads=1)
        selection = graph.select(half, depth="sketch")
        assert selection.has_sketch == (expected and crossovers()[2] > 0)
        assert selection.nbytes > 0
        with pytest.raises(ValueError, match="no sketch"):
            graph.search(rows[:1], 5, selection=graph.select(half), way="sketch")


def test_a_selection_of_another_graph_is_refused() -> None:
    rows = np.random.default_rng(1).standard_normal((100, 8)).astype(np.float32)
    one, other = (Graph.build(Vectors(rows), metric="l2", threads=1) for _ in range(2))
    with pytest.raises(ValueError, match="another graph"):
        other.search_one(rows[0], 5, selection=one.select(np.full(13, 255, np.uint8)))
