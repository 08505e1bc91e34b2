"""Remote reading: does a client get what the collection in the server's own process says?"""

from __future__ import annotations

import datetime
import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import nearrow
from nearrow.server.running import Server


@pytest.fixture
def local(server: Server, words: nearrow.Collection) -> nearrow.Collection:
    """The collection behind `words`."""
    return server.database.collection("words")


def assert_same_hits(found: nearrow.Hits, expected: nearrow.Hits) -> None:
    assert np.array_equal(found.distances, expected.distances, equal_nan=True)
    assert found.to_arrow().drop_columns("distance").equals(expected.to_arrow().drop_columns("distance"))
    assert found.cursor == expected.cursor
    assert found.ids.dtype == expected.ids.dtype
    assert list(found.parts) == list(expected.parts)


QUESTIONS = {
    "plain": {},
    "k": {"k": 3},
    "columns": {"columns": ["text", "id"]},
    "no columns": {"columns": []},
    "one column": {"columns": "pos"},
    "dict filter": {"where": {"n_words": {"$gt": 8}}},
    "SQL filter": {"where": "n_words > 8 AND pos = 'noun'"},
    "pyarrow filter": {"where": (pc.field("n_words") > 8) & pc.field("pos").isin(["noun", "verb"])},
    "exact": {"exact": True},
    "beam": {"ef_search": 200},
    "within": {"within": 0.8, "k": None},
    "negatives": {"negatives": np.ones((2, 384), np.float32), "negative_weight": 0.3},
    "hybrid": {"text": "bird"},
    "hybrid, weighted": {"text": "animal", "fusion": nearrow.Weighted(0.2, 0.8)},
    "hybrid, ranks": {"text": nearrow.TextQuery("+animal", operator="and"), "fusion": nearrow.RRF(k=10)},
    "group": {"group_by": "lexname", "group_size": 2},
    "diversity": {"diversity": 0.5},
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_search_finds_what_the_collection_itself_finds(
    name: str, words: nearrow.Collection, local: nearrow.Collection, wordnet_queries: np.ndarray
) -> None:
    assert_same_hits(
        words.search(wordnet_queries[3], **QUESTIONS[name]), local.search(wordnet_queries[3], **QUESTIONS[name])
    )


def test_batch_of_queries_gives_hits_for_each(
    words: nearrow.Collection, local: nearrow.Collection, wordnet_queries: np.ndarray
) -> None:
    queries = np.tile(wordnet_queries, (3, 1))  # more than fit into one message
    found, expected = words.search(queries, k=4), local.search(queries, k=4)
    assert len(found) == len(expected) == len(queries)
    for ours, theirs in zip(found, expected, strict=True):
        assert_same_hits(ours, theirs)
    assert len(words.search(queries[:1])) == 1
    assert words.search(np.empty((0, 384), np.float32)) == []


def test_filters_and_texts_may_differ_for_each_query(
    words: nearrow.Collection, local: nearrow.Collection, wordnet_queries: np.ndarray
) -> None:
    filters = [{"n_words": {"$gt": 8}}, None, "n_words < 5"]
    for settings in ({"where": filters}, {"text": ["bird", "animal", "act"]}):
        found, expected = words.search(wordnet_queries[:3], **settings), local.search(wordnet_queries[:3], **settings)
        for ours, theirs in zip(found, expected, strict=True):
            assert_same_hits(ours, theirs)
    assert [len(hits) for hits in words.search(text=["bird", "no such word"])] == [
        len(hits) for hits in local.search(text=["bird", "no such word"])
    ]


def test_text_search_has_snippets_facets_and_an_explanation(
    words: nearrow.Collection, local: nearrow.Collection
) -> None:
    settings = {
        "text": "animal",
        "facets": ["pos", {"field": "n_words", "ranges": [{"from": 0, "to": 9}]}],
        "explain": True,
    }
    found, expected = words.search(**settings), local.search(**settings)
    assert_same_hits(found, expected)
    assert found.facets == expected.facets
    assert found[0].snippet("text") == expected[0].snippet("text")
    assert found.explanation.to_dict()["plan"] == json.loads(json.dumps(expected.explanation.to_dict()["plan"]))
    assert str(found.explanation).splitlines()[0] == str(expected.explanation).splitlines()[0]


def test_pages_follow_each_other(words: nearrow.Collection, wordnet_queries: np.ndarray) -> None:
    whole = words.search(wordnet_queries[0], k=20)
    first = words.search(wordnet_queries[0], k=10)
    second = words.search(wordnet_queries[0], k=10, after=first.cursor)
    assert [*first.ids, *second.ids] == list(whole.ids)


def test_get_count_scan_and_contains_say_the_same(words: nearrow.Collection, local: nearrow.Collection) -> None:
    ids = local.to_arrow()["id"].to_pylist()
    assert words.get([ids[5], "missing", ids[2]]).equals(local.get([ids[5], "missing", ids[2]]))
    assert words.get(ids[5], columns=["pos"]).equals(local.get(ids[5], columns=["pos"]))
    assert (len(words), words.count({"pos": "noun"})) == (len(local), local.count({"pos": "noun"}))
    assert ids[0] in words
    assert "missing" not in words
    assert 1.5 not in words
    assert words.to_arrow().equals(local.to_arrow())
    assert words.scan("n_words > 8", ["id"]).read_all().equals(local.scan("n_words > 8", ["id"]).read_all())
    assert words.schema == local.schema
    assert words.config == local.config
    assert words.to_pandas().equals(local.to_pandas())
    assert words.to_polars().equals(local.to_polars())


def test_scan_streams_batches_of_the_size_asked_for(words: nearrow.Collection) -> None:
    sizes = [batch.num_rows for batch in words.scan(batch_rows=64)]
    assert sum(sizes) == 300
    assert max(sizes) <= 64


def test_facets_recall_and_sql_say_the_same(words: nearrow.Collection, local: nearrow.Collection) -> None:
    assert words.facets(["pos", "lexname"], "n_words > 4") == local.facets(["pos", "lexname"], "n_words > 4")
    assert words.facets(["pos"], text="animal") == local.facets(["pos"], text="animal")
    ours, theirs = words.recall(sample=20), local.recall(sample=20)
    assert (ours, ours.k, ours.queries, ours.worst) == (theirs, theirs.k, theirs.queries, theirs.worst)
    query = "SELECT pos, count(*) AS n FROM words WHERE n_words > $least GROUP BY 1 ORDER BY 1"
    assert words.sql(query, {"least": 4}).equals(local.sql(query, {"least": 4}))
    assert words.sql(query, {"least": 4}, format="json") == local.sql(query, {"least": 4}, format="json")
    hits = words.search(text="animal")
    with pytest.raises(nearrow.InvalidArgumentError, match="as a parameter"):
        words.sql("SELECT 1", hits=hits)
    found = words.sql("SELECT id FROM words WHERE id IN (SELECT unnest($ids))", {"ids": hits.ids.tolist()})
    assert set(found["id"].to_pylist()) == set(hits.ids)


def test_values_that_json_lacks_travel(remote: nearrow.Database) -> None:
    events = remote.create_collection("events", dimension=2, metric="l2")
    noon = datetime.datetime(2024, 5, 1, 12, tzinfo=datetime.UTC)
    events.add(
        ids=[1, 2, 3],
        vectors=np.eye(3, 2, dtype=np.float32),
        metadata=[{"at": noon}, {"at": None}, {"day": noon.date()}],
    )
    assert events.count({"at": {"$gte": noon}}) == 1
    assert events.count({"day": noon.date()}) == 1
    assert events.facets(["day"])["day"] == {noon.date(): 1}
    assert events.search([0.0, 0.0], k=1, where={"at": noon}).ids.tolist() == [1]
    assert events.search([0.0, 0.0]).ids.dtype == np.int64
    assert events.sql('SELECT count(*) AS n FROM events WHERE "at" = $1', [noon])["n"].to_pylist() == [1]


def test_new_column_appears_in_hits_of_streams_that_are_open(
    words: nearrow.Collection, wordnet_queries: np.ndarray
) -> None:
    before = words.search(wordnet_queries[0], k=1)
    words.update({"seen": True}, where={"id": before.ids[0]})
    after = words.search(wordnet_queries[0], k=1)
    assert after[0]["seen"] is True


def test_reads_of_an_empty_collection(remote: nearrow.Database) -> None:
    empty = remote.create_collection("empty", dimension=4)
    assert len(empty) == 0
    assert len(empty.search(np.ones(4, np.float32))) == 0
    assert empty.to_arrow().num_rows == 0
    assert empty.get(["a"]).num_rows == 0
    assert isinstance(empty.scan(), pa.RecordBatchReader)
