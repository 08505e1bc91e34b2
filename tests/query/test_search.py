"""Search through a collection: do all spellings, all verbs and all options agree with plain Python?"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
from mixed_rows import DIMENSION, Mixed, Predicate, ids_of, mixed_collection

from nearrow.errors import (
    DimensionMismatchError,
    FilterError,
    InvalidArgumentError,
    NotFoundError,
)


@pytest.fixture(scope="module", params=["cosine", "l2", "dot"])
def mixed(request: pytest.FixtureRequest) -> Mixed:
    made = mixed_collection(request.param)
    parts = made.collection._view().parts
    assert len(parts) >= 4
    assert sum(part.graph is not None for part in parts) >= 2
    assert any(part.alive is not None for part in parts)
    return made


@pytest.fixture(scope="module")
def queries() -> np.ndarray:
    return np.random.default_rng(9).standard_normal((8, DIMENSION)).astype(np.float32)


def late(row: dict[str, Any]) -> bool:
    return row["year"] is not None and row["year"] >= 2020


def late_libs(row: dict[str, Any]) -> bool:
    return late(row) and row["section"] in ("libs", "doc")


SPELLED: list[tuple[str, Any, Predicate]] = [
    ("dict", {"year": {"$gte": 2020}}, late),
    ("sql", "year >= 2020", late),
    ("arrow", pc.field("year") >= 2020, late),
    ("dict, two keys", {"year": {"$gte": 2020}, "section": {"$in": ["libs", "doc"]}}, late_libs),
    ("sql, two keys", "year >= 2020 AND section IN ('libs', 'doc')", late_libs),
    ("arrow, two keys", (pc.field("year") >= 2020) & pc.field("section").isin(["libs", "doc"]), late_libs),
    ("one row", {"id": "r0007"}, lambda row: row["id"] == "r0007"),
    ("nothing", {"year": 1}, lambda row: False),
    ("struct", {"place.city": "Bonn"}, lambda row: row["place"]["city"] == "Bonn"),
    ("list", {"tags": {"$contains": "t6"}}, lambda row: row["tags"] is not None and "t6" in row["tags"]),
    ("null", {"section": None}, lambda row: row["section"] is None),
]
NAMES = [name for name, _, _ in SPELLED]


@pytest.mark.parametrize(("_name", "where", "predicate"), SPELLED, ids=NAMES)
def test_every_verb_sees_the_same_rows_under_every_spelling(
    mixed: Mixed, queries: np.ndarray, _name: str, where: Any, predicate: Predicate
) -> None:
    collection, matching = mixed.collection, set(mixed.matching(predicate))
    assert collection.count(where) == len(matching)
    assert set(ids_of(collection.scan(where, columns=["id"]))) == matching
    for k in (1, 10, 1000):
        mixed.assert_nearest(collection.search(queries[0], k=k, where=where, exact=True), queries[0], k, predicate)
        mixed.assert_nearest(collection.search(queries[0], k=k, where=where, ef_search=400), queries[0], k, predicate)
    sections = Counter(mixed.rows[name]["section"] for name in matching if mixed.rows[name]["section"] is not None)
    assert collection.facets(["section"], where=where)["section"] == dict(sections)
    hits = collection.search(queries[0], k=2, where=where, facets=["section"])
    assert hits.facets["section"] == dict(sections)


@pytest.mark.parametrize("spelling", [0, 1, 2], ids=NAMES[:3])
def test_update_and_delete_change_the_rows_that_match_and_no_others(spelling: int) -> None:
    _, where, predicate = SPELLED[spelling]
    mixed = mixed_collection(rows=300)
    collection, matching = mixed.collection, set(mixed.matching(predicate))
    assert collection.update({"section": "moved"}, where=where) == len(matching)
    assert set(ids_of(collection.scan({"section": "moved"}))) == matching
    assert collection.delete(where=where) == len(matching)
    assert set(ids_of(collection.scan())) == set(mixed.rows) - matching
    assert collection.count(where) == 0


def test_unfiltered_search_finds_the_nearest_in_every_part(mixed: Mixed, queries: np.ndarray) -> None:
    for query in queries:
        mixed.assert_nearest(mixed.collection.search(query, k=10, exact=True), query, 10)
        mixed.assert_nearest(mixed.collection.search(query, k=10, ef_search=400), query, 10)
    assert len(mixed.collection.search(queries[0], k=10_000)) == len(mixed.rows)


def test_everything_within_a_distance_and_at_most_k_of_it(mixed: Mixed, queries: np.ndarray) -> None:
    collection = mixed.collection
    for share in (0.0, 0.02, 0.5, 1.0):
        ids, far = mixed.distances(queries[1], late)
        within = float(far[round(share * (len(far) - 1))]) + 1e-4
        wanted = int((far <= within).sum())
        assert len(collection.search(queries[1], k=None, within=within, where="year >= 2020")) == wanted
        for k in (1, 10, 500):
            for exact in (False, True):
                hits = collection.search(queries[1], k=k, within=within, where="year >= 2020", exact=exact)
                assert len(hits) == min(k, wanted)
                assert (hits.distances <= within).all()
                assert set(hits.ids) <= set(ids)
    assert len(collection.search(queries[1], k=5, within=-1e9)) == 0
    assert collection.search(queries[1], k=None, within=np.float32(-1e9)).ids.tolist() == []
    for k in (None, 10):
        batch = collection.search(queries, k=k, within=within, where="year >= 2020")
        alone = [collection.search(query, k=k, within=within, where="year >= 2020") for query in queries]
        assert [hits.ids.tolist() for hits in batch] == [hits.ids.tolist() for hits in alone]


def test_groups_have_at_most_their_size_and_the_nearest_rows_of_each(mixed: Mixed, queries: np.ndarray) -> None:
    ids, far = mixed.distances(queries[2])
    for size in (1, 3):
        hits = mixed.collection.search(queries[2], k=9, group_by="section", group_size=size, exact=True)
        taken: Counter[Any] = Counter()
        expected = []
        for name, distance in zip(ids, far, strict=True):
            section = mixed.rows[name]["section"]
            taken[section] += 1
            if taken[section] <= size and len(expected) < 9:
                expected.append((name, distance))
        assert hits.ids.tolist() == [name for name, _ in expected]
        np.testing.assert_allclose(hits.distances, [distance for _, distance in expected], rtol=1e-4, atol=1e-5)
    assert len(mixed.collection.search(queries[2], k=100, group_by="section")) == 5


@pytest.mark.parametrize("where", [None, {"year": {"$gte": 2020}}], ids=["all", "filtered"])
@pytest.mark.parametrize("first_page_is_plain", [True, False])
def test_pages_follow_each_other_without_a_gap_or_a_repeat(
    mixed: Mixed, queries: np.ndarray, where: Any, first_page_is_plain: bool
) -> None:
    ids, _ = mixed.distances(queries[3], (lambda row: True) if where is None else late)
    pages: list[str] = []
    hits = mixed.collection.search(queries[3], k=17, where=where, exact=True, explain=not first_page_is_plain)
    while len(hits):
        pages += hits.ids.tolist()
        hits = mixed.collection.search(queries[3], k=17, where=where, exact=True, after=hits.cursor)
    assert pages == ids
    assert hits.cursor is None


def test_pages_of_a_walk_hold_every_row_once(mixed: Mixed, queries: np.ndarray) -> None:
    pages: list[str] = []
    hits = mixed.collection.search(queries[3], k=40)
    while len(hits):
        pages += hits.ids.tolist()
        hits = mixed.collection.search(queries[3], k=40, after=hits.cursor)
    assert len(pages) == len(set(pages))
    assert len(pages) >= 0.98 * len(mixed.rows)


def test_pages_of_groups_never_show_a_group_again(mixed: Mixed, queries: np.ndarray) -> None:
    whole = mixed.collection.search(queries[3], k=30, group_by="section", group_size=4, exact=True)
    pages: list[str] = []
    hits = mixed.collection.search(queries[3], k=6, group_by="section", group_size=4, exact=True)
    while len(hits):
        pages += hits.ids.tolist()
        hits = mixed.collection.search(queries[3], k=6, group_by="section", group_size=4, exact=True, after=hits.cursor)
    assert pages == whole.ids.tolist()


def test_a_batch_may_bring_one_filter_for_each_query(mixed: Mixed, queries: np.ndarray) -> None:
    wheres = [SPELLED[index % 3 if index % 2 else index + 3][1] for index in range(7)] + [None]
    predicates = [SPELLED[index % 3 if index % 2 else index + 3][2] for index in range(7)] + [lambda row: True]
    answers = mixed.collection.search(queries, k=10, where=wheres, exact=True)
    assert len(answers) == len(queries)
    for hits, query, predicate in zip(answers, queries, predicates, strict=True):
        mixed.assert_nearest(hits, query, 10, predicate)
    for hits, query in zip(
        mixed.collection.search(queries, k=10, where="year >= 2020", exact=True), queries, strict=True
    ):
        mixed.assert_nearest(hits, query, 10, late)
    detailed = mixed.collection.search(queries, k=10, where=wheres, exact=True, explain=True)
    assert [hits.ids.tolist() for hits in detailed] == [hits.ids.tolist() for hits in answers]
    assert mixed.collection.search(queries[:0]) == []


def test_integer_ids_come_back_as_integers_from_every_part() -> None:
    import nearrow

    collection = nearrow.connect(":memory:").create_collection("n", dimension=4, metric="l2")
    vectors = np.random.default_rng(0).standard_normal((30, 4)).astype(np.float32)
    collection.add(ids=list(range(20)), vectors=vectors[:20])
    assert collection.search(vectors[3], k=1).ids.dtype == np.int64
    assert collection.search(vectors[3], k=1).to_arrow()["id"].to_pylist() == [3]
    collection.flush()
    collection.add(ids=list(range(20, 30)), vectors=vectors[20:])
    assert collection.search(vectors[25], k=30).ids.dtype == np.int64
    assert collection.search(vectors[25], k=30).to_arrow()["id"][0].as_py() == 25
    assert collection.search(vectors[25], k=3, where={"id": {"$lt": 0}}).ids.tolist() == []


def test_recall_is_measured_against_exact_search_filtered_or_not(mixed: Mixed) -> None:
    whole = mixed.collection.recall(k=10, sample=50)
    assert 0.9 <= whole <= 1.0
    assert whole.queries == 50
    assert whole.filtered == len(mixed.rows)
    filtered = mixed.collection.recall(k=10, sample=50, where={"year": {"$gte": 2020}})
    assert filtered.filtered == len(mixed.matching(late))
    assert filtered >= 0.95
    assert mixed.collection.recall(where={"year": 1}) == 1.0


# ---- mistakes


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        ({"k": 0}, InvalidArgumentError, "k"),
        ({"k": -1}, InvalidArgumentError, "k"),
        ({"k": 2.5}, InvalidArgumentError, "k"),
        ({"k": True}, InvalidArgumentError, "k"),
        ({"k": [1]}, InvalidArgumentError, "k"),
        ({"k": None}, InvalidArgumentError, "within"),
        ({"ef_search": 0}, InvalidArgumentError, "ef_search"),
        ({"target_recall": 0}, InvalidArgumentError, "target_recall"),
        ({"target_recall": 1.5}, InvalidArgumentError, "target_recall"),
        ({"target_recall": "high"}, InvalidArgumentError, "target_recall"),
        ({"target_recall": True}, InvalidArgumentError, "target_recall"),
        ({"within": float("nan")}, InvalidArgumentError, "within"),
        ({"within": "near"}, InvalidArgumentError, "within"),
        ({"columns": ["yaer"]}, NotFoundError, "year"),
        ({"columns": [3]}, InvalidArgumentError, "columns"),
        ({"group_by": "sektion"}, NotFoundError, "section"),
        ({"group_by": "section", "group_size": 0}, InvalidArgumentError, "group_size"),
        ({"after": "nonsense"}, InvalidArgumentError, "after"),
        ({"after": 7}, InvalidArgumentError, "after"),
        ({"negatives": [0.0] * 3}, DimensionMismatchError, "negatives"),
        ({"negatives": [float("nan")] * DIMENSION}, InvalidArgumentError, "negatives"),
        ({"negatives": [1.0] * DIMENSION, "negative_weight": -1}, InvalidArgumentError, "negative_weight"),
        ({"negatives": [1.0] * DIMENSION, "negative_weight": "much"}, InvalidArgumentError, "negative_weight"),
        ({"diversity": 2}, InvalidArgumentError, "diversity"),
        ({"facets": ["sektion"]}, FilterError, "section"),
        ({"facets": [{"field": "year", "range": []}]}, InvalidArgumentError, "ranges"),
        ({"where": {"yaer": 1}}, FilterError, "year"),
        ({"where": {"year": {"$gtr": 1}}}, FilterError, "$gt"),
        ({"where": {"year": {"$gt": "new"}}}, FilterError, "year"),
        ({"where": "yaer > 1"}, FilterError, "year"),
        ({"where": pc.field("yaer") > 1}, FilterError, "year"),
        ({"where": 7}, FilterError, "where"),
        ({"where": [None]}, FilterError, "where"),
    ],
)
def test_a_bad_argument_is_named(mixed: Mixed, queries: np.ndarray, arguments: Any, error: Any, named: str) -> None:
    with pytest.raises(error) as raised:
        mixed.collection.search(queries[0], **arguments)
    assert named in str(raised.value)


@pytest.mark.parametrize(
    ("vector", "error"),
    [
        ([1.0] * 3, DimensionMismatchError),
        ([float("nan")] * DIMENSION, InvalidArgumentError),
        ([float("inf")] * DIMENSION, InvalidArgumentError),
        (["a"] * DIMENSION, InvalidArgumentError),
        ([[[1.0] * DIMENSION]], InvalidArgumentError),
        (3.0, InvalidArgumentError),
        (None, InvalidArgumentError),
    ],
)
def test_a_bad_vector_is_refused(mixed: Mixed, vector: Any, error: Any) -> None:
    with pytest.raises(error):
        mixed.collection.search(vector)


def test_a_zero_vector_has_no_direction_under_cosine(mixed: Mixed) -> None:
    if mixed.metric == "cosine":
        with pytest.raises(InvalidArgumentError, match="zero"):
            mixed.collection.search([0.0] * DIMENSION)
    else:
        mixed.assert_nearest(mixed.collection.search([0.0] * DIMENSION, k=5, exact=True), [0.0] * DIMENSION, 5)


def test_batches_refuse_what_does_not_fit(mixed: Mixed, queries: np.ndarray) -> None:
    with pytest.raises(InvalidArgumentError, match="8 queries"):
        mixed.collection.search(queries, where=[None])
    cursor = mixed.collection.search(queries[0]).cursor
    with pytest.raises(InvalidArgumentError, match="rerank"):
        mixed.collection.search(queries[0], after=cursor, diversity=0.5)
