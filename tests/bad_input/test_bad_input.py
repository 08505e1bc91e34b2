"""Bad input: is everything wrong refused with a typed error that says what to do, before anything is written?"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import nearrow
from nearrow import Collection
from nearrow.errors import (
    AlreadyExistsError,
    ClosedError,
    CorruptionError,
    DimensionMismatchError,
    IncompatibleFormatError,
    InvalidArgumentError,
    NearrowError,
    NotFoundError,
    ReadOnlyError,
    SchemaError,
)

GOOD = [1.0, 0.0, 0.0, 0.0]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "library"


@pytest.fixture
def docs(path: Path) -> Iterator[Collection]:
    with nearrow.connect(path) as database:
        collection = database.create_collection("docs", 4, text_fields=["text"], memtable_rows=32)
        collection.add([{"id": "a", "vector": GOOD, "year": 1, "place": {"x": 1}}, {"id": "b", "vector": [0, 1, 0, 0]}])
        collection.wait()
        yield collection


def fingerprint(path: Path) -> dict[str, str]:
    """Every file and its content, but for the text index, which follows in its own time."""
    files = (file for file in sorted(path.rglob("*")) if file.is_file() and "/text/" not in file.as_posix())
    return {str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def malformed_strings() -> pa.Array:
    """Offsets that point far outside of the data."""
    offsets = np.array([0, 1_000_000, 1], np.int32)
    return pa.Array.from_buffers(pa.string(), 2, [None, pa.py_buffer(offsets), pa.py_buffer(b"x")])


def malformed_utf8() -> pa.Array:
    return pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, 2], np.int32)), pa.py_buffer(b"\xff\xfe")]
    )


def row(**columns: Any) -> list[dict[str, Any]]:
    return [{"id": "new", "vector": GOOD, **columns}]


def table(ids: Any, vectors: Any = None, **columns: Any) -> pa.Table:
    vectors = vectors if vectors is not None else pa.array([GOOD] * len(ids), pa.list_(pa.float32(), 4))
    return pa.table({"id": ids, "vector": vectors, **columns})


BAD_ROWS: dict[str, tuple[Any, type[NearrowError]]] = {
    "vector too short": (row(vector=[1.0, 2.0]), DimensionMismatchError),
    "vector too long": (row(vector=[1.0] * 5), DimensionMismatchError),
    "vectors of mixed lengths": ([*row(), {"id": "c", "vector": [1.0]}], DimensionMismatchError),
    "NaN": (row(vector=[math.nan, 0, 0, 1]), InvalidArgumentError),
    "Inf": (row(vector=[math.inf, 0, 0, 1]), InvalidArgumentError),
    "minus Inf": (row(vector=[-math.inf, 0, 0, 1]), InvalidArgumentError),
    "beyond float32": (row(vector=[1e300, 0, 0, 1]), InvalidArgumentError),
    "zero vector under cosine": (row(vector=[0.0] * 4), InvalidArgumentError),
    "no vector": ([{"id": "new"}], InvalidArgumentError),
    "null vector": ([*row(), {"id": "c", "vector": None}], InvalidArgumentError),
    "vector of words": (row(vector=["a", "b", "c", "d"]), SchemaError),
    "no id": ([{"vector": GOOD}], InvalidArgumentError),
    "null id": (row(id=None), InvalidArgumentError),
    "empty id": (row(id=""), InvalidArgumentError),
    "long id": (row(id="x" * 513), InvalidArgumentError),
    "long id in bytes": (row(id="ü" * 257), InvalidArgumentError),
    "id of another type": (row(id=7), SchemaError),
    "float id": (row(id=1.5), SchemaError),
    "mixed ids": ([*row(), {"id": 7, "vector": GOOD}], NearrowError),  # type: ignore[dict-item]
    "type conflict": (row(year="last year"), SchemaError),
    "fraction in integers": (row(year=1.5), NearrowError),
    "struct conflict": (row(place=5), SchemaError),
    "text is no string": (row(text=5), SchemaError),
    "binary column": (table(["new"], data=pa.array([b"x"])), SchemaError),
    "map column": (table(["new"], data=pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64()))), SchemaError),
    "reserved column": (row(_row=1), InvalidArgumentError),
    "operator column": (row(**{"$set": 1}), InvalidArgumentError),
    "empty column name": (row(**{"": 1}), InvalidArgumentError),
    "offsets out of bounds": (table(malformed_strings()), InvalidArgumentError),
    "offsets out of bounds in metadata": (table(["new", "newer"], note=malformed_strings()), InvalidArgumentError),
    "not UTF-8": (table(malformed_utf8()), InvalidArgumentError),
    "not rows at all": (42, NearrowError),
    "a list of lists": ([[1, 2]], NearrowError),
    "columns of different lengths": ({"id": ["c", "d"], "vector": [GOOD]}, NearrowError),
}


@pytest.mark.parametrize("verb", ["add", "upsert"])
@pytest.mark.parametrize("case", list(BAD_ROWS))
def test_bad_rows_are_refused_and_nothing_is_written(docs: Collection, path: Path, verb: str, case: str) -> None:
    rows, error = BAD_ROWS[case]
    before = fingerprint(path)
    with pytest.raises(error) as caught:
        getattr(docs, verb)(rows)
    assert isinstance(caught.value, NearrowError)
    assert len(str(caught.value)) > 20, "a message says what was wrong and what to do"
    assert fingerprint(path) == before
    assert docs.count() == 2


@pytest.mark.parametrize("case", list(BAD_ROWS))
def test_bad_rows_roll_a_transaction_back(docs: Collection, path: Path, case: str) -> None:
    rows, error = BAD_ROWS[case]
    before = fingerprint(path)

    def write() -> None:
        with docs.transaction() as transaction:
            transaction.upsert([{"id": "c", "vector": GOOD}])
            transaction.upsert(rows)

    with pytest.raises(error):
        write()
    assert fingerprint(path) == before
    assert docs.count() == 2


def stream(last: dict[str, Any], rows: int = 100) -> pa.RecordBatchReader:
    """A stream longer than a memtable whose very last row is `last`."""
    good = [{"id": f"n{number}", "vector": GOOD} for number in range(rows)]
    schema = pa.schema([("id", pa.string()), ("vector", pa.list_(pa.float32()))])
    batches = [pa.RecordBatch.from_pylist([one], schema=schema) for one in [*good, last]]
    return pa.RecordBatchReader.from_batches(schema, batches)


@pytest.mark.parametrize(
    ("last", "error"),
    [
        ({"id": "z", "vector": [math.nan] * 4}, InvalidArgumentError),
        ({"id": "z", "vector": [1.0]}, DimensionMismatchError),
        ({"id": "", "vector": GOOD}, InvalidArgumentError),
        ({"id": "a", "vector": GOOD}, AlreadyExistsError),
        ({"id": "n5", "vector": GOOD}, AlreadyExistsError),
    ],
)
def test_bad_row_at_the_end_of_a_long_stream_leaves_nothing(
    docs: Collection, path: Path, last: dict[str, Any], error: type[NearrowError]
) -> None:
    before = fingerprint(path)
    with pytest.raises(error):
        docs.add(stream(last))
    assert fingerprint(path) == before
    assert docs.count() == 2


def test_duplicate_ids_are_refused_by_add_and_the_last_wins_in_upsert(docs: Collection, path: Path) -> None:
    twice = [{"id": "c", "vector": GOOD, "year": 1}, {"id": "c", "vector": GOOD, "year": 2}]
    before = fingerprint(path)
    with pytest.raises(AlreadyExistsError, match="'c'"):
        docs.add(twice)
    with pytest.raises(AlreadyExistsError, match="'a'"):
        docs.add([{"id": "d", "vector": GOOD}, {"id": "a", "vector": GOOD}])
    assert fingerprint(path) == before
    docs.upsert(twice)
    assert docs.get(["c"]).column("year").to_pylist() == [2]


def test_update_of_a_missing_row_is_refused_as_a_whole(docs: Collection, path: Path) -> None:
    before = fingerprint(path)
    with pytest.raises(NotFoundError, match="'nobody'"):
        docs.update([{"id": "a", "year": 9}, {"id": "nobody", "year": 9}])
    assert fingerprint(path) == before


BAD_SEARCHES: dict[str, tuple[Callable[[Collection], Any], type[NearrowError]]] = {
    "k is zero": (lambda docs: docs.search(GOOD, k=0), InvalidArgumentError),
    "k is negative": (lambda docs: docs.search(GOOD, k=-1), InvalidArgumentError),
    "k is a float": (lambda docs: docs.search(GOOD, k=1.5), InvalidArgumentError),
    "k is true": (lambda docs: docs.search(GOOD, k=True), InvalidArgumentError),
    "k is None": (lambda docs: docs.search(GOOD, k=None), InvalidArgumentError),
    "query too short": (lambda docs: docs.search([1.0]), DimensionMismatchError),
    "query is NaN": (lambda docs: docs.search([math.nan] * 4), InvalidArgumentError),
    "query is Inf": (lambda docs: docs.search([math.inf, 0, 0, 0]), InvalidArgumentError),
    "query is zero": (lambda docs: docs.search([0.0] * 4), InvalidArgumentError),
    "one query of a batch is zero": (lambda docs: docs.search([GOOD, [0.0] * 4]), InvalidArgumentError),
    "query is a word": (lambda docs: docs.search("astronomer"), InvalidArgumentError),
    "query has 3 axes": (lambda docs: docs.search(np.ones((1, 1, 4))), InvalidArgumentError),
    "nothing is asked": (lambda docs: docs.search(), InvalidArgumentError),
    "ef_search is zero": (lambda docs: docs.search(GOOD, ef_search=0), InvalidArgumentError),
    "target_recall beyond one": (lambda docs: docs.search(GOOD, target_recall=1.5), InvalidArgumentError),
    "within is NaN": (lambda docs: docs.search(GOOD, within=math.nan), InvalidArgumentError),
    "unknown column": (lambda docs: docs.search(GOOD, columns=["yeer"]), NotFoundError),
    "unknown column of get": (lambda docs: docs.get(["a"], columns=["yeer"]), NotFoundError),
    "batch_rows is zero": (lambda docs: docs.scan(batch_rows=0), InvalidArgumentError),
    "delete of nothing": (lambda docs: docs.delete(), InvalidArgumentError),
}


@pytest.mark.parametrize("case", list(BAD_SEARCHES))
def test_bad_search_is_refused(docs: Collection, case: str) -> None:
    ask, error = BAD_SEARCHES[case]
    with pytest.raises(error):
        ask(docs)


def test_huge_k_gives_all_rows(docs: Collection) -> None:
    assert len(docs.search(GOOD, k=2**40)) == 2


def test_empty_writes_change_nothing(docs: Collection, path: Path) -> None:
    before = fingerprint(path)
    assert docs.upsert([]) == 0
    assert docs.delete([]) == 0
    assert docs.delete(["nobody"]) == 0
    with docs.transaction():
        pass
    assert fingerprint(path) == before


@pytest.mark.parametrize(
    "name", ["", " docs", "a/b", "..", "a\0b", "line\nbreak", "x" * 129, 7, None, "\ud800"], ids=repr
)
def test_hostile_collection_name_is_refused(path: Path, name: Any) -> None:
    with nearrow.connect(path) as database:
        before = fingerprint(path)
        with pytest.raises(InvalidArgumentError):
            database.create_collection(name, 4)
        assert fingerprint(path) == before


@pytest.mark.parametrize("name", ["CON", "COLLECTIONS", "…", "a b", "%2e%2e", "-rf", "docs.", "'; DROP TABLE docs; --"])
def test_odd_name_is_only_a_name(path: Path, name: str) -> None:
    with nearrow.connect(path) as database:
        database.create_collection(name, 4).add([{"id": "a", "vector": GOOD}])
    with nearrow.connect(path) as database:
        assert database.collections() == [name]
        assert database.collection(name).count() == 1
    assert not [file for file in path.rglob("*") if name in file.name]


def test_unknown_collection_names_the_nearest(path: Path, docs: Collection) -> None:
    with nearrow.connect(path, read_only=True) as database, pytest.raises(NotFoundError, match="did you mean 'docs'"):
        database.collection("dosc")


def test_reader_of_nothing_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        nearrow.connect(tmp_path / "nothing", read_only=True)


def test_reader_may_not_write(path: Path, docs: Collection) -> None:
    with nearrow.connect(path, read_only=True) as database:
        reader = database.collection("docs")
        for write in (
            lambda: reader.upsert(row()),
            lambda: reader.delete(["a"]),
            lambda: reader.compact(),
            lambda: database.create_collection("more", 4),
            lambda: database.drop_collection("docs"),
        ):
            with pytest.raises(ReadOnlyError):
                write()


def test_closed_collection_says_so(path: Path, docs: Collection) -> None:
    docs.close()
    for verb in (lambda: docs.count(), lambda: docs.upsert(row()), lambda: docs.search(GOOD)):
        with pytest.raises(ClosedError):
            verb()


def test_truncated_or_missing_file_is_named(path: Path, docs: Collection) -> None:
    docs.flush()
    docs.close()
    files = [file for file in sorted(path.rglob("*")) if file.name == "rows.arrow" or file.name.startswith("manifest")]
    newest = [max(file for file in files if file.name.startswith("manifest")), *path.rglob("rows.arrow")]
    for file in newest:
        whole = file.read_bytes()
        for damaged in (whole[: len(whole) // 2], b"", None):
            file.unlink()
            if damaged is not None:
                file.write_bytes(damaged)
            with nearrow.connect(path, read_only=True) as database, pytest.raises(CorruptionError, match=file.name):
                database.collection("docs")
            file.write_bytes(whole)
    with nearrow.connect(path) as database:
        assert database.collection("docs").count() == 2


def test_newer_format_is_refused_with_advice(path: Path, docs: Collection) -> None:
    docs.close()
    for file in path.rglob("manifest-*.json"):
        file.write_bytes(file.read_bytes().replace(b"nearrow-manifest-1", b"nearrow-manifest-2"))
    for read_only in (True, False):
        with (
            nearrow.connect(path, read_only=read_only) as database,
            pytest.raises(IncompatibleFormatError, match="upgrade"),
        ):
            database.collection("docs")
