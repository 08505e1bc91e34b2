"""SQL nearest: does a vector search inside a query give what search() gives?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nearrow
from nearrow.errors import FilterError, InvalidArgumentError, NotFoundError
from nearrow.untrusted import Limits, run

VECTORS = np.random.default_rng(0).standard_normal((300, 4)).astype(np.float32)
QUERY = VECTORS[7]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[nearrow.Database]:
    with nearrow.connect(tmp_path / "library") as database:
        docs = database.create_collection("docs", 4, text_fields=["text"])
        metadata = [{"n": n, "shelf": "abc"[n % 3]} for n in range(300)]
        docs.add(ids=range(300), vectors=VECTORS, texts=[f"ünï word{n}" for n in range(300)], metadata=metadata)
        yield database


def rows(table: Any) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in table.to_pylist()]


def test_hits_are_a_table_that_can_be_joined(db: nearrow.Database) -> None:
    docs = db.collection("docs")
    hits = docs.search(QUERY, k=5)
    found = docs.sql("SELECT id, n, distance FROM nearest('docs', $q, k := 5) ORDER BY distance", {"q": QUERY})
    assert rows(found) == [(hit.id, hit["n"], pytest.approx(hit.distance)) for hit in hits]
    joined = docs.sql(
        "SELECT 'ä' AS a, d.n FROM nearest('docs', ?, k := 3) AS near JOIN docs d USING (id) WHERE d.n >= ? ORDER BY 2",
        [QUERY, 0],
    )
    assert rows(joined) == [("ä", n) for n in sorted(hit["n"] for hit in hits[:3])]


def test_arguments_are_those_of_search(db: nearrow.Database) -> None:
    docs = db.collection("docs")
    found = docs.sql(
        "WITH near AS (SELECT * FROM NEAREST('docs', $q, k := $k, filter := 'shelf = ''b''', exact := true)) "
        "SELECT count(*), min(shelf), max(shelf) FROM near",
        {"q": QUERY.tolist(), "k": 20},
    )
    assert rows(found) == [(20, "b", "b")]
    assert rows(docs.sql("SELECT nearest.id FROM nearest('docs', text := 'word9')")) == [(9,)]
    assert rows(docs.sql("SELECT number FROM nearest('docs', text := 'word9') AS n(number)")) == [(9,)]
    assert rows(docs.sql(f"SELECT id FROM nearest('docs', {VECTORS[5].tolist()}, k := 1)")) == [(5,)]


def test_several_searches_in_one_query(db: nearrow.Database) -> None:
    other = db.create_collection("o'ther", 4, metric="l2")
    other.add(ids=range(10), vectors=VECTORS[:10])
    found = db.sql(
        "SELECT a.id AS x, b.id AS y FROM nearest('docs', $a, k := 1) a, nearest('o''ther', $b, k := 1) b "
        "WHERE a.id < (SELECT max(id) FROM nearest('docs', $a, k := 300))",
        {"a": VECTORS[1], "b": VECTORS[2]},
    )
    assert rows(found) == [(1, 2)]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("SELECT * FROM nearest('docs', docs.vector)", InvalidArgumentError),
        ("SELECT * FROM docs, nearest('docs', docs.vector)", InvalidArgumentError),
        ("SELECT * FROM nearest('docs', $missing)", InvalidArgumentError),
        ("SELECT * FROM nearest('docs', [1, 2])", InvalidArgumentError),
        ("SELECT * FROM nearest('docs', $q, size := 3)", InvalidArgumentError),
        ("SELECT * FROM nearest()", InvalidArgumentError),
        ("SELECT * FROM nearest('docs', $q, k := 0)", InvalidArgumentError),
        ("SELECT * FROM nearest('docs', $q, filter := 'nothing = 1')", FilterError),
        ("SELECT * FROM nearest('nothing', $q)", NotFoundError),
        ("SELECT * FROM other.nearest('docs', $q)", InvalidArgumentError),
        ("SELECT * FROM nearest('docs', $q) WHERE", InvalidArgumentError),
    ],
)
def test_wrong_searches_are_refused(db: nearrow.Database, query: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        db.sql(query, {"q": QUERY})


def test_a_word_nearest_elsewhere_is_left_alone(db: nearrow.Database) -> None:
    assert rows(db.sql("SELECT 'nearest(' AS nearest, count(*) FROM docs -- nearest('docs', 1)")) == [("nearest(", 300)]


def test_untrusted_queries_search_too(db: nearrow.Database) -> None:
    query = "SELECT id FROM nearest('docs', ?, k := 2) ORDER BY distance"
    found = run(db.path, query, [QUERY], limits=Limits(seconds=60)).read_all()
    assert found["id"].to_pylist() == db.collection("docs").search(QUERY, k=2).ids.tolist()
