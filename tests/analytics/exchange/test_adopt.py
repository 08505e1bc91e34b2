"""Adopt: do rows that lie elsewhere become a collection, with their ids, vectors and metric?"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import nearrow
from nearrow.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError, SchemaError

COUNT, DIMENSION = 300, 8
VECTORS = np.random.default_rng(0).standard_normal((COUNT, DIMENSION)).astype(np.float32)
UNIT = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
IDS = np.arange(1000, 1000 + COUNT)


@pytest.fixture
def db() -> Iterator[nearrow.Database]:
    with nearrow.connect(":memory:") as database:
        yield database


def table(vector: str = "vector", **columns: Any) -> pa.Table:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(VECTORS.ravel()), DIMENSION)
    return pa.table({**columns, vector: vectors, "n": pa.array(range(COUNT))})


def assert_adopted(adopted: nearrow.Collection, metric: str, vectors: np.ndarray, tolerance: float = 0) -> None:
    assert adopted.config.metric == metric
    rows = adopted.to_arrow().sort_by("id")
    assert rows["id"].to_pylist() == IDS.tolist()
    np.testing.assert_allclose(np.stack(rows["vector"].to_pylist()), vectors, atol=tolerance)
    assert adopted.search(vectors[7], k=1).ids.tolist() == [IDS[7]]


# ---- files


def test_a_folder_of_parquet_files_becomes_a_collection(
    db: nearrow.Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = table("embedding", id=IDS)
    for part in range(3):
        pq.write_table(whole.slice(part * 100, 100), tmp_path / f"part-{part}.parquet")
    (tmp_path / "_SUCCESS").touch()
    adopted = db.adopt(tmp_path, "docs", metric="l2", progress=True)
    assert_adopted(adopted, "l2", VECTORS)
    assert adopted.schema.names == ["id", "vector", "n"]
    assert "docs" in capsys.readouterr().err


def test_rows_without_ids_are_numbered(db: nearrow.Database, tmp_path: Path) -> None:
    with pa.OSFile(str(tmp_path / "rows.arrow"), "wb") as sink, pa.ipc.new_file(sink, table().schema) as writer:
        writer.write_table(table())
    adopted = db.adopt(tmp_path / "rows.arrow", "docs")
    assert adopted.to_arrow()["id"].to_pylist() == list(range(COUNT))
    assert adopted.get([5])["n"].to_pylist() == [5]


def test_a_source_that_is_wrong_leaves_no_collection(db: nearrow.Database, tmp_path: Path) -> None:
    bad = VECTORS.copy()
    bad[200, 3] = np.nan
    column = pa.FixedSizeListArray.from_arrays(pa.array(bad.ravel()), DIMENSION)
    pq.write_table(table(id=IDS).set_column(1, "vector", column), tmp_path / "nan.parquet")
    two = table("a").append_column("b", table("b")["b"])
    pq.write_table(two, tmp_path / "two.parquet")
    (tmp_path / "mixed").mkdir()
    for name in ("a.parquet", "b.csv"):
        (tmp_path / "mixed" / name).touch()
    with pytest.raises(InvalidArgumentError, match="row 200"):
        db.adopt(tmp_path / "nan.parquet", "docs")
    with pytest.raises(SchemaError, match="vector_column"):
        db.adopt(tmp_path / "two.parquet", "docs")
    assert len(db.adopt(tmp_path / "two.parquet", "b", vector_column="b")) == COUNT
    with pytest.raises(InvalidArgumentError, match="one format"):
        db.adopt(tmp_path / "mixed", "docs")
    with pytest.raises(NotFoundError):
        db.adopt(tmp_path / "nothing", "docs")
    with pytest.raises(InvalidArgumentError, match="hnswlib"):
        db.adopt([1, 2], "docs")
    with pytest.raises(AlreadyExistsError):
        db.adopt(tmp_path / "two.parquet", "b", vector_column="b")
    assert db.collections() == ["b"]


# ---- indexes of other libraries


@pytest.mark.parametrize(("space", "metric"), [("l2", "l2"), ("ip", "dot"), ("cosine", "cosine")])
def test_hnswlib(db: nearrow.Database, space: str, metric: str) -> None:
    hnswlib = pytest.importorskip("hnswlib", reason="pip install hnswlib to read its indexes")
    index = hnswlib.Index(space=space, dim=DIMENSION)
    index.init_index(COUNT, random_seed=0)
    vectors = UNIT if metric != "l2" else VECTORS
    index.add_items(vectors, IDS)
    assert_adopted(db.adopt(index, "docs"), metric, vectors, 1e-6)


@pytest.mark.parametrize("kind", ["flat", "hnsw", "id map", "ivf"])
def test_faiss(db: nearrow.Database, kind: str) -> None:
    faiss = pytest.importorskip("faiss", reason="pip install faiss-cpu to read its indexes")
    if kind == "ivf":
        index = faiss.IndexIVFFlat(faiss.IndexFlatL2(DIMENSION), DIMENSION, 4)
        index.train(VECTORS)
    elif kind == "hnsw":
        index = faiss.IndexHNSWFlat(DIMENSION, 8)
    elif kind == "id map":
        index = faiss.IndexIDMap(faiss.IndexFlatIP(DIMENSION))
        index.add_with_ids(UNIT, IDS)
        assert_adopted(db.adopt(index, "docs"), "dot", UNIT)
        return
    else:
        index = faiss.IndexFlatL2(DIMENSION)
    index.add(VECTORS)
    adopted = db.adopt(index, "docs")
    rows = adopted.to_arrow().sort_by("id")
    assert rows["id"].to_pylist() == list(range(COUNT))
    assert np.array_equal(np.stack(rows["vector"].to_pylist()), VECTORS)


def test_usearch(db: nearrow.Database) -> None:
    usearch = pytest.importorskip("usearch.index", reason="pip install usearch to read its indexes")
    index = usearch.Index(ndim=DIMENSION, metric="cos", dtype="f32")
    index.add(IDS, VECTORS)
    assert_adopted(db.adopt(index, "docs"), "cosine", VECTORS)


# ---- databases of other libraries


def test_lancedb(db: nearrow.Database, tmp_path: Path) -> None:
    lancedb = pytest.importorskip("lancedb", reason="pip install lancedb to read its directories")
    made = lancedb.connect(str(tmp_path / "lance"))
    made.create_table("docs", table(id=pa.array(IDS)))
    assert_adopted(db.adopt(tmp_path / "lance", "docs", metric="l2"), "l2", VECTORS)
    made.create_table("other", table(id=pa.array(IDS)))
    with pytest.raises(NotFoundError, match="'docs', 'other'"):
        db.adopt(tmp_path / "lance", "more")
    assert len(db.adopt(tmp_path / "lance", "more", table="other")) == COUNT


def test_chroma(db: nearrow.Database, tmp_path: Path) -> None:
    chromadb = pytest.importorskip("chromadb", reason="pip install chromadb to read its directories")
    client = chromadb.PersistentClient(str(tmp_path / "chroma"))
    made = client.create_collection("docs", configuration={"hnsw": {"space": "cosine"}}, embedding_function=None)
    made.add(
        ids=[str(number) for number in IDS],
        embeddings=VECTORS,
        documents=[f"text {n}" for n in range(COUNT)],
        metadatas=[{"n": n, "even": n % 2 == 0} for n in range(COUNT)],
    )
    adopted = db.adopt(tmp_path / "chroma", "docs")
    assert (adopted.config.metric, adopted.config.text_fields) == ("cosine", ("document",))
    (row,) = adopted.get(["1007"]).to_pylist()
    assert (row["n"], row["even"], row["document"]) == (7, False, "text 7")
    assert row["vector"] == pytest.approx(VECTORS[7].tolist(), abs=1e-6)  # Chroma keeps length and direction apart


def test_no_library_is_imported_that_is_not_needed(tmp_path: Path) -> None:
    pq.write_table(table(id=IDS), tmp_path / "rows.parquet")
    script = (
        "import sys, nearrow; nearrow.connect(':memory:').adopt(sys.argv[1], 'docs');"
        "print({'hnswlib', 'faiss', 'usearch', 'lancedb', 'chromadb'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "rows.parquet")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "set()\n"
