"""Text search: do exactly the rows that match come back, through the public API?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import nearrow
from nearrow.collection import Collection

ROWS = 600
WORDS = ("red", "green", "blue", "black", "white")


def text_of(number: int) -> str:
    return f"{WORDS[number % 5]} {WORDS[number % 3]} n{number} all"


@pytest.fixture(scope="module")
def docs() -> Iterator[Collection]:
    """Some rows in a segment, some dead, some fresh."""
    with nearrow.connect(":memory:") as db:
        docs = db.create_collection("docs", 4, metric="l2", text_fields=["text", "title"], graph_rows_min=100)
        for first, last in ((0, 500), (500, ROWS)):
            numbers = range(first, last)
            docs.add(
                ids=[f"id{n}" for n in numbers],
                vectors=np.random.default_rng(first).normal(size=(len(numbers), 4)).astype("f"),
                texts=[text_of(n) for n in numbers],
                metadata=[{"year": 1900 + n % 100, "kind": WORDS[n % 5], "title": f"t{n % 10}"} for n in numbers],
            )
            docs.flush()
            docs.wait()
        docs.delete(where={"year": {"$lt": 1910}})
        docs.upsert(
            ids=["fresh"], vectors=[[0.0] * 4], texts=["red fresh all"], metadata=[{"year": 1950, "kind": "red"}]
        )
        yield docs


def living() -> dict[str, int]:
    return {f"id{n}": n for n in range(ROWS) if n % 100 >= 10}


def test_all_rows_that_match_come_back_and_no_others(docs: Collection) -> None:
    expected = {name for name, n in living().items() if "red" in text_of(n).split()} | {"fresh"}
    hits = docs.search(text="red", k=10_000)
    assert set(hits.ids) == expected
    assert len(hits.ids) == len(expected)
    assert (np.diff(hits.scores) <= 0).all()
    assert np.isnan(hits.distances).all()
    assert [hit.text_score for hit in hits] == hits.scores.tolist()


@pytest.mark.parametrize("k", [1, 3, 10, 40])
@pytest.mark.parametrize("year", [1911, 1950, 1999])
def test_k_come_back_if_k_match_the_words_and_the_filter(docs: Collection, k: int, year: int) -> None:
    matching = {
        name for name, n in living().items() if "all" in text_of(n) and 1900 + n % 100 <= year and n % 100 >= 10
    }
    matching |= {"fresh"} if year >= 1950 else set()
    hits = docs.search(text="all", k=k, where={"year": {"$lte": year}})
    assert len(hits) == min(k, len(matching))
    assert set(hits.ids) <= matching


def test_facets_count_all_rows_that_match_the_words(docs: Collection) -> None:
    hits = docs.search(text="red", k=2, facets=["kind"])
    kinds = [WORDS[n % 5] for n in living().values() if "red" in text_of(n).split()] + ["red"]
    assert dict(hits.facets["kind"]) == {kind: kinds.count(kind) for kind in set(kinds)}
    assert dict(docs.facets(["kind"], text="red")["kind"]) == dict(hits.facets["kind"])


def test_snippets_mark_what_was_found(docs: Collection) -> None:
    hit = docs.search(text="fresh", k=1)[0]
    assert hit.snippet("text").marked("<", ">") == "red <fresh> all"
    assert docs.search([0.0] * 4, text="fresh", k=1)[0].snippet("text").to_html() == "red <b>fresh</b> all"
    with pytest.raises(nearrow.InvalidArgumentError, match="text query"):
        docs.search([0.0] * 4, k=1)[0].snippet("text")


def test_a_malformed_query_is_read_as_words_unless_strict(docs: Collection) -> None:
    assert docs.search(text='fresh "', k=1).ids.tolist() == ["fresh"]
    with pytest.raises(nearrow.InvalidArgumentError, match="missing"):
        docs.search(text='fresh "', strict=True)
    with pytest.raises(nearrow.InvalidArgumentError, match=r"titel.*title"):
        docs.search(text="titel:fresh", strict=True)
    with pytest.raises(nearrow.InvalidArgumentError, match="str"):
        docs.search(text=7)


def test_a_collection_without_text_fields_says_so() -> None:
    with nearrow.connect(":memory:") as db, pytest.raises(nearrow.InvalidArgumentError, match="text_fields"):
        db.create_collection("docs", 2).search(text="x")


def test_words_are_stemmed_in_english_by_default_and_prefixes_still_mean_letters() -> None:
    with nearrow.connect(":memory:") as db:
        docs = db.create_collection("docs", 2, text_fields=["text"])
        texts = ["they were running", "happiness", "dying", "rune stones", "comets"]
        docs.add(ids=list(range(5)), vectors=np.ones((5, 2), "f"), texts=texts)
        found = {"runs": [0], "runn*": [0], "happine*": [1], "dyi*": [2], "comet": [4], "runes~1": [0, 3]}
        for text, expected in found.items():
            assert sorted(docs.search(text=text).ids.tolist()) == expected, text


def test_a_list_has_one_text_for_each_query(docs: Collection) -> None:
    alone = [docs.search(text=text, k=5).ids.tolist() for text in ("red n13", "blue", "absent")]
    assert [hits.ids.tolist() for hits in docs.search(text=["red n13", "blue", "absent"], k=5)] == alone
    queries = np.random.default_rng(1).normal(size=(2, 4)).astype("f")
    both = docs.search(queries, text=["red", "blue"], k=5)
    assert [hits.ids.tolist() for hits in both] == [
        docs.search(query, text=text, k=5).ids.tolist() for query, text in zip(queries, ("red", "blue"), strict=True)
    ]
    assert [hits.ids.tolist() for hits in docs.search(queries, text="red", k=5)] == [
        docs.search(query, text="red", k=5).ids.tolist() for query in queries
    ]
    assert docs.search(text=[]) == []
    with pytest.raises(nearrow.InvalidArgumentError, match="1 texts for 2 queries"):
        docs.search(queries, text=["red"])


def test_pages_of_a_text_search_are_the_whole(docs: Collection) -> None:
    whole = docs.search(text="red green", k=60).ids.tolist()
    pages: list[str] = []
    after = None
    for _ in range(4):
        hits = docs.search(text="red green", k=15, after=after)
        pages += hits.ids.tolist()
        after = hits.cursor
    assert pages == whole
