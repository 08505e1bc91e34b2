"""Snapshot places: do snapshots replace each other, form series, and lie in object stores, always whole?"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

import nearrow
from nearrow.analytics import snapshot_local
from nearrow.analytics.restore import read_metadata
from nearrow.analytics.snapshot_address import place_of
from nearrow.analytics.snapshot_metadata import GRAPH, SnapshotMetadata
from nearrow.errors import AlreadyExistsError, ClosedError, CorruptionError, InvalidArgumentError, NotFoundError

DIMENSION = 8


def vectors(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)


@pytest.fixture
def docs(db: nearrow.Database) -> nearrow.Collection:
    """Two segments, the first with a graph, and rows in the memtable."""
    collection = db.create_collection("docs", DIMENSION, graph_rows_min=100)
    collection.add(ids=range(400), vectors=vectors(400), metadata=[{"n": n, "word": "ü" * (n % 3)} for n in range(400)])
    collection.compact()
    collection.add(ids=range(400, 450), vectors=vectors(50, 1), metadata=[{"n": n} for n in range(400, 450)])
    collection.flush()
    collection.add(ids=[450], vectors=vectors(1, 2), metadata=[{"n": 450}])
    return collection


def assert_holds(db: nearrow.Database, place: Any, rows: pa.Table, **keywords: Any) -> None:
    back = db.restore(place, name="back", **keywords)
    assert back.to_arrow().sort_by("id").equals(rows.sort_by("id"))
    db.drop_collection("back")


def inodes(folder: Path) -> dict[str, int]:
    return {path.relative_to(folder).as_posix(): path.stat().st_ino for path in folder.rglob("*") if path.is_file()}


# ---- again, into the same place


def test_parts_that_did_not_change_are_not_written_again(
    db: nearrow.Database, docs: nearrow.Collection, tmp_path: Path
) -> None:
    docs.snapshot(tmp_path / "out")
    before = inodes(tmp_path / "out")
    docs.delete([410])  # of the second segment
    docs.add(ids=[451], vectors=vectors(1, 3), metadata=[{"n": 451}])
    docs.snapshot(tmp_path / "out")
    after = inodes(tmp_path / "out")
    kept = {name for name in before if after.get(name) == before[name]}
    assert sorted(name.partition("/")[0] for name in kept) == [
        "graph",
        "layers.parquet",
        "neighbors.parquet",
        "vectors.parquet",
    ]
    assert len(after) == len(before)
    assert_holds(db, tmp_path / "out", docs.to_arrow())
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("snapshot-")] == []


def test_other_options_or_columns_write_all_anew(docs: nearrow.Collection, tmp_path: Path) -> None:
    docs.snapshot(tmp_path / "out")
    first = set(inodes(tmp_path / "out"))
    docs.snapshot(tmp_path / "out", compression="zstd")
    second = set(inodes(tmp_path / "out"))
    docs.add(ids=[500], vectors=vectors(1), metadata=[{"fresh": 1.5}])
    docs.snapshot(tmp_path / "out", compression="zstd")
    third = set(inodes(tmp_path / "out"))
    assert first & second == second & third == {"metadata.parquet"}
    assert pq.read_table(tmp_path / "out" / "vectors.parquet").column("fresh").null_count == 451


@pytest.mark.parametrize("exchange", [True, False])
def test_a_snapshot_that_fails_leaves_the_one_before_it(
    db: nearrow.Database, docs: nearrow.Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    if not exchange:
        monkeypatch.setattr(snapshot_local, "_exchange", lambda *_: False)
    docs.snapshot(tmp_path / "out")
    rows = docs.to_arrow()
    docs.delete([1])
    with monkeypatch.context() as broken:
        broken.setattr(SnapshotMetadata, "to_table", lambda _: pa.table({})["nothing"])
        with pytest.raises(KeyError):
            docs.snapshot(tmp_path / "out")
    assert_holds(db, tmp_path / "out", rows)
    docs.snapshot(tmp_path / "out")
    assert_holds(db, tmp_path / "out", docs.to_arrow())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["library", "out"]


@pytest.mark.parametrize("compression", ["snappy", "zstd", "lz4", "gzip", "none"])
def test_every_codec_comes_back(
    db: nearrow.Database, docs: nearrow.Collection, tmp_path: Path, compression: str
) -> None:
    docs.snapshot(tmp_path / "out", compression=compression, byte_stream_split=compression == "gzip")
    path = next((tmp_path / "out" / "vectors.parquet").iterdir())
    columns = pq.ParquetFile(path).metadata.row_group(0)
    (vector,) = [columns.column(i) for i in range(columns.num_columns) if "vector" in columns.column(i).path_in_schema]
    assert ("BYTE_STREAM_SPLIT" in vector.encodings) == (compression == "gzip")
    assert vector.compression == {"none": "UNCOMPRESSED"}.get(compression, compression.upper())
    assert_holds(db, tmp_path / "out", docs.to_arrow())


def test_pandas_polars_and_duckdb_read_it_without_nearrow(docs: nearrow.Collection, tmp_path: Path) -> None:
    import pandas
    import polars

    docs.snapshot(tmp_path / "out")
    folder, rows = f"{tmp_path}/out/vectors.parquet", docs.to_arrow()
    numbers = sorted(rows["n"].to_pylist())
    assert sorted(pandas.read_parquet(folder)["n"]) == numbers
    frame = polars.read_parquet(f"{folder}/*.parquet")
    assert sorted(frame["n"].to_list()) == numbers
    assert frame.filter(polars.col("id") == 7)["vector"][0].to_list() == docs.get([7])["vector"][0].as_py()
    found = duckdb.sql(f"SELECT count(*), sum(n), count(vector) FROM '{folder}/*.parquet'").fetchall()
    assert found == [(451, sum(numbers), 451)]
    joined = duckdb.sql(f"SELECT count(*) FROM '{tmp_path}/out/neighbors.parquet/*.parquet' WHERE len(neighbors) > 0")
    assert joined.fetchall() == [(400,)]


def test_graphs_of_whole_segments_come_back_beside_others(
    db: nearrow.Database, docs: nearrow.Collection, tmp_path: Path
) -> None:
    docs.snapshot(tmp_path / "out")
    assert len(list((tmp_path / "out" / GRAPH).iterdir())) == 1
    back = db.restore(tmp_path / "out", name="back")
    old, new = docs._view().parts[0].graph, back._view().parts[0].graph
    assert old is not None
    assert new is not None
    assert old.buffer.equals(new.buffer)
    query = vectors(1, 9)[0]
    assert back.search(query, k=5, exact=True).ids.tolist() == docs.search(query, k=5, exact=True).ids.tolist()


def test_an_id_in_two_parts_is_refused(db: nearrow.Database, tmp_path: Path) -> None:
    for name, second in (("twice", [7]), ("once", [8])):
        made = db.create_collection(name, DIMENSION)
        made.add(ids=[7], vectors=vectors(1))
        made.flush()
        view = made._view()
        made.delete([7])
        made.add(ids=second, vectors=vectors(1, 1))
        both = nearrow.segment.view.View((*view.parts, *made._view().parts), view.schema, 0, 0)
        made._store.core.view = both  # type: ignore[union-attr]
        made.snapshot(tmp_path / name)
    with pytest.raises(CorruptionError, match="two parts"):
        db.restore(tmp_path / "twice", name="back")
    assert sorted(db.restore(tmp_path / "once", name="back").to_arrow()["id"].to_pylist()) == [7, 8]


# ---- series


def test_a_series_keeps_the_newest_and_shares_what_did_not_change(
    db: nearrow.Database, docs: nearrow.Collection, tmp_path: Path
) -> None:
    for n in range(4):
        docs.delete([n])
        docs.snapshot(tmp_path / "backups", keep=2)
    kept = sorted((tmp_path / "backups").iterdir())
    assert len(kept) == 2
    assert [read_metadata(place_of(path)).rows for path in kept] == [448, 447]
    shared = set(inodes(kept[0]).values()) & set(inodes(kept[1]).values())
    assert len(shared) == 3  # the second segment's three tables
    assert_holds(db, kept[1], docs.to_arrow())
    with pytest.raises(NotFoundError, match=f"newest is .*{kept[1].name}"):
        db.restore(tmp_path / "backups", name="back")


def test_half_a_snapshot_in_a_series_is_none(docs: nearrow.Collection, tmp_path: Path) -> None:
    docs.snapshot(tmp_path / "backups", keep=1)
    half = tmp_path / "backups" / "2999-01-01T00-00-00.000000Z"
    half.mkdir()
    docs.snapshot(tmp_path / "backups", keep=1)
    assert len([path for path in (tmp_path / "backups").iterdir() if (path / "metadata.parquet").exists()]) == 1
    with pytest.raises(CorruptionError, match="missing"):
        read_metadata(place_of(half))


def test_a_schedule_goes_on_after_a_failure_and_ends_with_its_collection(
    docs: nearrow.Collection, tmp_path: Path
) -> None:
    backups = tmp_path / "backups"
    backups.write_text("in the way")
    with docs.snapshot(backups, every=timedelta(milliseconds=5), keep=2) as schedule:
        while schedule.error is None:
            assert not schedule.wait(1, timeout=0.05)
        backups.unlink()
        assert schedule.wait(3, timeout=60)
        assert schedule.error is None
    assert len(list(backups.iterdir())) == 2
    assert schedule.last is not None
    assert schedule.last.rows == 451
    other = docs.snapshot(tmp_path / "others", every=0.005)
    docs.close()
    assert other.wait(1 << 30, timeout=60) is False  # it ended
    with pytest.raises(ClosedError):
        docs.snapshot(tmp_path / "late")


@pytest.mark.parametrize("wrong", [{"every": 0}, {"every": "day"}, {"keep": 0}, {"keep": True, "every": 1.0}])
def test_wrong_schedules_are_refused(docs: nearrow.Collection, tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match=next(iter(wrong))):
        docs.snapshot(tmp_path / "backups", **wrong)


# ---- object stores


@pytest.fixture(scope="module")
def s3() -> Iterator[Callable[[str], str]]:
    """A local S3 server; gives the URL of a name in its bucket."""
    server_module = pytest.importorskip("moto.server", reason="pip install 'moto[server]' for a local S3 server")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
    before = {name: os.environ.get(name) for name in keys}
    os.environ.update(keys)
    where = f"endpoint_override={host}:{port}&scheme=http&region=us-east-1"
    fs.S3FileSystem(
        endpoint_override=f"{host}:{port}", scheme="http", region="us-east-1", allow_bucket_creation=True
    ).create_dir("bucket")
    yield lambda name: f"s3://bucket/{name}?{where}"
    server.stop()
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


def files_at(url: str) -> dict[str, int]:
    """Name → when it was written, of all but metadata.parquet: S3 knows seconds only, and that one is always new."""
    filesystem, path = fs.FileSystem.from_uri(url)
    found = filesystem.get_file_info(fs.FileSelector(path, recursive=True))
    files = [info for info in found if info.type == fs.FileType.File and info.base_name != "metadata.parquet"]
    return {info.path: info.mtime_ns for info in files}


def test_s3_holds_a_snapshot_and_the_next_one_in_its_place(
    db: nearrow.Database, docs: nearrow.Collection, s3: Callable[[str], str]
) -> None:
    docs.snapshot(s3("again"), compression="zstd")
    assert_holds(db, s3("again"), docs.to_arrow())
    first = files_at(s3("again"))
    docs.delete([410])
    docs.snapshot(s3("again"), compression="zstd")
    second = files_at(s3("again"))
    assert len([name for name in first if first[name] == second.get(name)]) == 4
    assert len(second) == len(first)
    assert_holds(db, s3("again"), docs.to_arrow())
    found = nearrow.query_snapshot(s3("again"), "SELECT count(*) AS n FROM docs WHERE n > ?", [200], format="json")
    assert found == '[{"n": 249}]'
    nearest = "SELECT id FROM vectors ORDER BY array_distance(vector, $q::FLOAT[8]) LIMIT 1"
    assert nearrow.query_snapshot(s3("again"), nearest, {"q": vectors(400)[9]})["id"].to_pylist() == [9]


def test_s3_without_metadata_holds_no_snapshot(
    db: nearrow.Database, docs: nearrow.Collection, s3: Callable[[str], str]
) -> None:
    docs.snapshot(s3("half"))
    filesystem, path = fs.FileSystem.from_uri(s3("half"))
    filesystem.delete_file(f"{path}/metadata.parquet")
    with pytest.raises(CorruptionError, match="missing"):
        db.restore(s3("half"), name="back")
    with pytest.raises(AlreadyExistsError, match="no snapshot"):
        docs.snapshot(s3("half"))
    with pytest.raises(NotFoundError, match="nothing is there"):
        db.restore(s3("elsewhere"), name="back")


def test_s3_snapshot_that_is_damaged_is_refused(
    db: nearrow.Database, docs: nearrow.Collection, s3: Callable[[str], str]
) -> None:
    docs.snapshot(s3("damaged"))
    filesystem, path = fs.FileSystem.from_uri(s3("damaged"))
    name = filesystem.get_file_info(fs.FileSelector(f"{path}/vectors.parquet"))[0].path
    with filesystem.open_input_stream(name) as file:
        data = bytearray(file.read())
    data[100] ^= 1
    with filesystem.open_output_stream(name) as file:
        file.write(data)
    with pytest.raises(CorruptionError, match="digest"):
        db.restore(s3("damaged"), name="back")
    assert db.collections() == ["docs"]


def test_a_series_lies_in_s3_too(docs: nearrow.Collection, s3: Callable[[str], str]) -> None:
    filesystem, path = fs.FileSystem.from_uri(s3("series"))
    for n in range(3):
        docs.delete([n])
        docs.snapshot(path, filesystem=filesystem, keep=2)
    place = place_of(path, filesystem)
    assert [read_metadata(place.below(name)).rows for name in place.folders()] == [449, 448]


def test_any_file_system_of_pyarrow_will_do(db: nearrow.Database, docs: nearrow.Collection, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    store = fs.SubTreeFileSystem(str(tmp_path / "store"), fs.LocalFileSystem())
    docs.snapshot("deep/out", filesystem=store)
    docs.delete([1])
    docs.snapshot("deep/out", filesystem=store)
    assert_holds(db, "deep/out", docs.to_arrow(), filesystem=store)
    half = db.create_collection("half", DIMENSION, dtype="float16")
    half.add(ids=[1], vectors=vectors(1).astype(np.float16))
    half.snapshot("half", filesystem=store)
    found = nearrow.query_snapshot("half", "SELECT vector[1] AS x FROM half", filesystem=store)
    assert found["x"].to_pylist() == [float(vectors(1).astype(np.float16)[0, 0])]
