"""SQL: does a query see exactly the rows that are alive, by reference, and nothing outside?"""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import nearrow
from nearrow.analytics.dictionaries import repeating_columns
from nearrow.analytics.sql import live_table
from nearrow.errors import InvalidArgumentError

DIMENSION = 4


def vectors(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)


def rows(count: int, first: int = 0) -> dict[str, Any]:
    numbers = range(first, first + count)
    return {
        "ids": [f"row {n}" for n in numbers],
        "vectors": vectors(count, first),
        "metadata": [{"n": n, "section": "abc"[n % 3]} for n in numbers],
    }


@pytest.fixture
def docs(db: nearrow.Database) -> nearrow.Collection:
    collection = db.create_collection("docs", DIMENSION)
    collection.add(**rows(300))
    return collection


def values(table: pa.Table) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in table.to_pylist()]


def test_query_sees_segments_and_memtable_without_the_dead(docs: nearrow.Collection) -> None:
    docs.flush()
    docs.add(**rows(50, 300))
    docs.delete(where={"section": "b"})
    docs.upsert(ids=["row 0"], vectors=vectors(1), metadata=[{"n": 1000, "section": "z"}])
    found = docs.sql("SELECT section, count(*), max(n) FROM docs GROUP BY 1 ORDER BY 1")
    assert values(found) == [("a", 116, 348), ("c", 116, 347), ("z", 1, 1000)]
    assert values(docs.sql("SELECT count(*) FROM docs")) == [(docs.count(),)]


def test_rows_older_than_a_column_read_null(docs: nearrow.Collection) -> None:
    docs.flush()
    docs.add(ids=["new"], vectors=vectors(1), metadata=[{"place": {"city": "Zürich"}, "tags": ["x", None]}])
    assert values(docs.sql("SELECT count(*), count(place), count(n) FROM docs")) == [(301, 1, 300)]
    found = docs.sql("SELECT place.city, tags FROM docs WHERE place IS NOT NULL")
    assert values(found) == [("Zürich", ["x", None])]


def test_nested_columns_of_deleted_neighbours_stay_apart(docs: nearrow.Collection) -> None:
    docs.add(ids=["p", "q", "r"], vectors=vectors(3), metadata=[{"s": {"a": i}, "l": [i, i]} for i in range(3)])
    docs.delete(["p"])
    assert values(docs.sql("SELECT id, s.a, l FROM docs WHERE s IS NOT NULL ORDER BY 1")) == [
        ("q", 1, [1, 1]),
        ("r", 2, [2, 2]),
    ]


def test_vectors_are_not_copied(docs: nearrow.Collection) -> None:
    docs.flush()
    docs.delete(["row 7"])
    view = docs._view()
    (column,) = live_table(view).column("vector").chunks
    assert (
        column.flatten().buffers()[1].address
        == view.parts[0].batches[0].column("vector").flatten().buffers()[1].address
    )


def test_text_with_few_values_is_read_as_a_dictionary_and_means_the_same(docs: nearrow.Collection) -> None:
    docs.flush()
    docs.delete(["row 7"])
    docs.add(ids=["new"], vectors=vectors(1), metadata=[{"late": "x"}])
    docs.flush()
    docs.add(**rows(20, 400))
    view = docs._view()
    query = (
        "SELECT section, late, typeof(section), count(*) FROM docs WHERE section <> 'c' OR section IS NULL GROUP BY ALL"
    )
    assert repeating_columns(view, query) == ["section", "late"]
    assert repeating_columns(view, "SELECT id FROM docs") == []
    table = live_table(view, ["section", "late"])
    assert pa.types.is_dictionary(table.schema.field("section").type)
    assert table.column("section").to_pylist() == live_table(view).column("section").to_pylist()
    assert sorted(values(docs.sql(query)), key=str) == [
        ("a", None, "VARCHAR", 106),
        ("b", None, "VARCHAR", 106),
        (None, "x", "VARCHAR", 1),
    ]
    first = docs.sql("SELECT section FROM docs LIMIT 1")
    assert pa.types.is_string(first.schema.field("section").type)


def test_float16_vectors_read_as_float(db: nearrow.Database) -> None:
    half = db.create_collection("half", 2, metric="l2", dtype="float16")
    half.add(ids=[1, 2], vectors=np.array([[1.5, 2], [3, 4]], np.float16))
    found = half.sql("SELECT id, array_distance(vector, ?::FLOAT[2]) d FROM half ORDER BY 2", [[3.0, 4.0]])
    assert values(found)[0] == (2, 0.0)


def test_parameters_are_bound_never_interpolated(docs: nearrow.Collection) -> None:
    assert values(docs.sql("SELECT n FROM docs WHERE id = ?", ["row 3"])) == [(3,)]
    assert values(docs.sql("SELECT count(*) FROM docs WHERE id = $id", {"id": "x' OR true --"})) == [(0,)]
    nearest = docs.sql(
        "SELECT id FROM docs ORDER BY array_distance(vector, $q::FLOAT[4]) LIMIT 1", {"q": vectors(300)[9]}
    )
    assert values(nearest) == [("row 9",)]
    with pytest.raises(InvalidArgumentError, match="list"):
        docs.sql("SELECT 1", "row 3")


def test_hits_can_be_joined(docs: nearrow.Collection) -> None:
    hits = docs.search(vectors(300)[5], k=4)
    found = docs.sql("SELECT h.id, d.n FROM hits h JOIN docs d USING (id) ORDER BY h.distance", hits=hits)
    assert values(found) == [(hit.id, hit["n"]) for hit in hits]
    batch = docs.search(vectors(300)[:3], k=2)
    assert values(docs.sql("SELECT query, count(*) FROM hits GROUP BY 1 ORDER BY 1", hits=batch)) == [
        (0, 2),
        (1, 2),
        (2, 2),
    ]
    with pytest.raises(InvalidArgumentError, match="search"):
        docs.sql("SELECT 1", hits=[1, 2])


def test_collections_can_be_joined_whatever_their_names(db: nearrow.Database, docs: nearrow.Collection) -> None:
    strange = 'a "b"; DROP TABLE docs; --'
    other = db.create_collection(strange, DIMENSION)
    other.add(**rows(10))
    other.delete(["row 1"])
    found = db.sql('SELECT count(*) FROM docs JOIN "a ""b""; DROP TABLE docs; --" USING (id)')
    assert values(found) == [(9,)]
    assert len(docs) == 300


def test_names_that_differ_in_case_only_are_refused(db: nearrow.Database, docs: nearrow.Collection) -> None:
    db.create_collection("Docs", DIMENSION)
    with pytest.raises(InvalidArgumentError, match="case"):
        db.sql("SELECT * FROM docs")


def test_results_come_in_the_format_asked(docs: nearrow.Collection) -> None:
    query = "SELECT n, NULL::INT AS nothing, 'nan'::FLOAT AS nan FROM docs ORDER BY n LIMIT 2"
    assert docs.sql(query).column("n").to_pylist() == [0, 1]
    assert docs.sql(query, format="pandas")["n"].tolist() == [0, 1]
    assert docs.sql(query, format="polars")["n"].to_list() == [0, 1]
    assert json.loads(docs.sql(query, format="json"))[1] == {"n": 1, "nothing": None, "nan": None}
    with pytest.raises(InvalidArgumentError, match="arrow, pandas"):
        docs.sql(query, format="csv")


def test_times_keep_their_meaning(docs: nearrow.Collection) -> None:
    moment = datetime(2024, 2, 29, 12, tzinfo=UTC)
    docs.add(ids=["t"], vectors=vectors(1), metadata=[{"moment": moment}])
    assert values(docs.sql("SELECT moment FROM docs WHERE moment IS NOT NULL"))[0][0] == moment
    assert json.loads(docs.sql("SELECT moment FROM docs WHERE id = 't'", format="json")) == [
        {"moment": moment.isoformat()}
    ]


def test_an_empty_collection_is_an_empty_table(db: nearrow.Database) -> None:
    empty = db.create_collection("empty", DIMENSION, text_fields=["text"])
    assert values(empty.sql("SELECT count(*) FROM empty")) == [(0,)]
    assert empty.sql("FROM empty").column_names == ["id", "vector", "text"]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/etc/*')",
        "COPY docs TO '/tmp/stolen.csv'",
        "ATTACH '/tmp/other.db'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SET threads = 1",
        "INSERT INTO docs SELECT * FROM docs",
        "DELETE FROM docs",
        "SELECT * FROM sys",
        "SELEC",
        "SELECT nothing FROM docs",
        "",
    ],
)
def test_queries_that_reach_out_or_are_wrong_are_refused(docs: nearrow.Collection, query: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        docs.sql(query)
    assert "\n" not in str(caught.value)
    assert len(docs) == 300


def test_what_a_query_makes_ends_with_it(docs: nearrow.Collection) -> None:
    assert values(docs.sql("CREATE TABLE t AS SELECT 7 AS x; SELECT x FROM t")) == [(7,)]
    with pytest.raises(InvalidArgumentError, match="t does not exist"):
        docs.sql("SELECT x FROM t")


def test_a_query_sees_one_version_of_a_collection_that_changes(docs: nearrow.Collection) -> None:
    docs.flush()
    hits = docs.search(vectors(300)[0], k=3)
    docs.delete(where={"n": {"$gte": 0}})
    assert values(docs.sql("SELECT count(*) FROM docs")) == [(0,)]
    assert values(docs.sql("SELECT count(*) FROM hits LEFT JOIN docs USING (id)", hits=hits)) == [(3,)]


def test_a_child_process_and_threads_ask_for_themselves(docs: nearrow.Collection, tmp_path: Path) -> None:
    def count(number: int) -> Any:
        return values(docs.sql("SELECT count(*) FROM docs WHERE n >= ?", [number]))[0][0]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(count, range(40))) == [300 - number for number in range(40)]
    child = os.fork()
    if child == 0:
        with nearrow.connect(tmp_path / "library", read_only=True) as db:
            found = values(db.sql("SELECT count(*) FROM docs"))
        os._exit(0 if found == [(300,)] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
