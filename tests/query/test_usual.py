"""Usual: does the short way answer what the long way answers, and leave to it whatever is another question, or wrong?"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nearrow
from nearrow.collection import Collection
from nearrow.errors import ClosedError, DimensionMismatchError, FilterError, InvalidArgumentError, NotFoundError
from nearrow.query import ask
from nearrow.query.query import VectorQuery
from nearrow.query.usual import usual_nearest

DIMENSION, ROWS = 16, 600
RNG = np.random.default_rng(7)
POINTS = RNG.standard_normal((ROWS, DIMENSION)).astype(np.float32)
QUERIES = RNG.standard_normal((20, DIMENSION)).astype(np.float32)


@pytest.fixture(params=["cosine", "l2", "dot"])
def sealed(request: pytest.FixtureRequest) -> Collection:
    """One segment with a graph; a tenth of its rows are dead."""
    docs = nearrow.connect(":memory:").create_collection(
        "docs", dimension=DIMENSION, metric=request.param, graph_rows_min=1
    )
    docs.add(ids=range(ROWS), vectors=POINTS, metadata=[{"year": 2000 + row % 7} for row in range(ROWS)])
    docs.compact()
    docs.delete(ids=range(0, ROWS, 10))
    return docs


def is_usual(docs: Collection, vector: Any, query: VectorQuery = VectorQuery()) -> bool:  # noqa: B008 - immutable
    return usual_nearest(docs._source(), vector, query, None) is not None


@pytest.mark.parametrize("where", [None, {"year": {"$lt": 2003}}, "year = 2005"])
@pytest.mark.parametrize("k", [1, 10, ROWS])
def test_short_way_and_long_way_agree(sealed: Collection, k: int, where: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = [sealed.search(query, k=k, where=where, ef_search=40) for query in QUERIES]
    assert is_usual(sealed, QUERIES[0], VectorQuery(k, 40))
    monkeypatch.setattr(ask, "usual_hits", lambda *_: None)
    long = [sealed.search(query, k=k, where=where, ef_search=40) for query in QUERIES]
    for one, other in zip(usual, long, strict=True):
        assert one.ids.tolist() == other.ids.tolist()
        assert one.distances.tolist() == other.distances.tolist()
        assert one.scores.tolist() == other.scores.tolist()
        assert one.cursor == other.cursor
        assert one.to_arrow().equals(other.to_arrow())


@pytest.mark.parametrize(
    "spelling",
    [
        np.ndarray.tolist,
        lambda vector: vector.astype(np.float64),
        lambda vector: vector.astype(">f4"),
        lambda vector: np.repeat(vector, 2)[::2],
    ],
)
def test_other_spellings_of_a_vector_are_left_to_the_long_way(
    sealed: Collection, spelling: Callable[[np.ndarray], Any]
) -> None:
    for query in QUERIES:
        spelled = spelling(query)
        assert not is_usual(sealed, spelled)
        assert sealed.search(spelled).ids.tolist() == sealed.search(query).ids.tolist()


def test_any_contiguous_floats_are_a_vector(sealed: Collection) -> None:
    query = array("f", QUERIES[0].tolist())
    assert is_usual(sealed, query)
    assert sealed.search(query).ids.tolist() == sealed.search(QUERIES[0]).ids.tolist()


def test_a_batch_with_a_filter_for_each_is_another_question(sealed: Collection) -> None:
    hits = sealed.search(QUERIES[:2], where=[None, {"year": 2001}])
    assert [one.ids.tolist() for one in hits] == [
        sealed.search(QUERIES[0]).ids.tolist(),
        sealed.search(QUERIES[1], where={"year": 2001}).ids.tolist(),
    ]


def test_more_parts_or_no_rows_are_another_question(sealed: Collection) -> None:
    none = sealed.search(QUERIES[0], where={"year": 1})
    assert len(none) == 0
    assert none.cursor is None
    sealed.add(ids=[ROWS], vectors=QUERIES[:1])  # a memtable beside the segment
    assert not is_usual(sealed, QUERIES[0])
    assert sealed.search(QUERIES[0], where="year is null").ids.tolist() == [ROWS]


def test_mistakes_are_named_as_ever(sealed: Collection) -> None:
    with pytest.raises(DimensionMismatchError, match="3 dimensions, the collection has 16"):
        sealed.search(QUERIES[0][:3])
    with pytest.raises(InvalidArgumentError, match="NaN or infinity"):
        sealed.search(np.full(DIMENSION, np.nan, np.float32))
    with pytest.raises(InvalidArgumentError, match="needs a vector, a text, or both"):
        sealed.search(None)
    with pytest.raises(InvalidArgumentError, match="the number of hits is k=10"):
        sealed.search(QUERIES[0], 10)  # the second argument is the text
    with pytest.raises(NotFoundError, match=r"yaer.*year"):
        sealed.search(QUERIES[0], columns=["yaer"])
    with pytest.raises(FilterError):
        sealed.search(QUERIES[0], where={"yaer": 1})
    if sealed.config.metric == "cosine":
        with pytest.raises(InvalidArgumentError, match="all zeros"):
            sealed.search(np.zeros(DIMENSION, np.float32))
    sealed.close()
    with pytest.raises(ClosedError):
        sealed.search(QUERIES[0])
