"""Damaged snapshots: is what was broken or forged refused, and does it leave nothing behind?"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import nearrow
from nearrow.analytics.restore import read_metadata
from nearrow.analytics.snapshot_address import place_of
from nearrow.analytics.snapshot_metadata import METADATA_FILE, TABLES, row_digest
from nearrow.errors import (
    CorruptionError,
    IncompatibleFormatError,
    InvalidArgumentError,
    NotFoundError,
    StorageError,
)
from nearrow.storage.published import digest


@pytest.fixture
def snapshot(docs: nearrow.Collection, tmp_path: Path) -> Path:
    docs.compact()
    docs.snapshot(tmp_path / "out")
    return tmp_path / "out"


def forge(snapshot: Path, **changes: Any) -> None:
    """Change columns of the metadata and make its digest right again."""
    table = pq.read_table(snapshot / "metadata.parquet")
    row = table.drop_columns(["digest", "created_at"]).to_pylist()[0]
    row["created_at"] = table.column("created_at").cast(pa.int64())[0].as_py()
    row.update(changes)
    row["digest"] = row_digest({key: value for key, value in row.items() if key != "digest"})
    pq.write_table(pa.Table.from_pylist([row], table.schema), snapshot / "metadata.parquet")


def files_of(snapshot: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(snapshot / "metadata.parquet").column("files")[0].as_py()
    return found


def file_in(snapshot: Path, table: str) -> str:
    """The name of the table's one file."""
    if table == METADATA_FILE:
        return table
    (name,) = [file["name"] for file in files_of(snapshot) if file["name"].startswith(f"{table}/")]
    return str(name)


def rewrite(snapshot: Path, table: str, data: bytes) -> None:
    """Replace a file and state its new length and digest."""
    name = file_in(snapshot, table)
    (snapshot / name).write_bytes(data)
    files = [file for file in files_of(snapshot) if file["name"] != name]
    forge(snapshot, files=[*files, {"name": name, "length": len(data), "digest": digest(data)}])


def flip(snapshot: Path, name: str) -> None:
    data = bytearray((snapshot / name).read_bytes())
    data[len(data) // 2] ^= 0x10
    (snapshot / name).write_bytes(bytes(data))


def truncate(snapshot: Path, name: str) -> None:
    os.truncate(snapshot / name, (snapshot / name).stat().st_size // 2)


def link(snapshot: Path, name: str) -> None:
    shutil.move(snapshot / name, snapshot.parent / "moved")
    (snapshot / name).symlink_to(snapshot.parent / "moved")


def link_folder(snapshot: Path, name: str) -> None:
    folder = (snapshot / name).parent
    shutil.move(folder, snapshot.parent / "moved")
    folder.symlink_to(snapshot.parent / "moved")


def remove(snapshot: Path, name: str) -> None:
    (snapshot / name).unlink()


DAMAGED = [
    (damage, table)
    for damage in (flip, truncate, link, link_folder, remove)
    for table in (*TABLES, METADATA_FILE)
    if table != METADATA_FILE
    or damage not in (flip, link_folder)  # half of its bytes are Parquet's; the next test flips
]


@pytest.mark.parametrize(("damage", "table"), DAMAGED)
def test_damaged_files_are_refused_and_leave_nothing(
    db: nearrow.Database, snapshot: Path, damage: Callable[[Path, str], None], table: str
) -> None:
    damage(snapshot, file_in(snapshot, table))
    with pytest.raises((CorruptionError, NotFoundError), match=table):
        db.restore(snapshot, name="back")
    assert db.collections() == ["docs"]


def test_no_flipped_byte_changes_what_the_metadata_says(snapshot: Path) -> None:
    path = snapshot / "metadata.parquet"
    whole, right = path.read_bytes(), read_metadata(place_of(snapshot))
    refused = 0
    for position in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        path.unlink()
        path.write_bytes(bytes(damaged))
        try:
            assert read_metadata(place_of(snapshot)) == right
        except StorageError:
            refused += 1
    assert refused > 0


@pytest.mark.parametrize(
    "name",
    ["vectors.parquet/../x.parquet", "/etc/passwd", "a/../../x", "graph/a/b.bin", "graph/..bin", "other.parquet", ""],
)
def test_other_file_names_are_refused(db: nearrow.Database, snapshot: Path, name: str) -> None:
    forge(snapshot, files=[*files_of(snapshot), {"name": name, "length": 1, "digest": "0" * 32}])
    with pytest.raises(CorruptionError, match="names the file"):
        db.restore(snapshot, name="back")


@pytest.mark.parametrize("name", ["../docs", "/docs", "..", "a/b"])
def test_names_that_leave_the_library_are_refused(db: nearrow.Database, snapshot: Path, name: str) -> None:
    with pytest.raises(InvalidArgumentError):
        db.restore(snapshot, name=name)


def test_newer_versions_are_refused(db: nearrow.Database, snapshot: Path) -> None:
    forge(snapshot, format_version=3)
    with pytest.raises(IncompatibleFormatError, match="upgrade"):
        db.restore(snapshot, name="back")


def test_forged_contents_are_refused(db: nearrow.Database, snapshot: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(snapshot, whole)
    rows = pq.read_table(snapshot / "vectors.parquet")
    ids = rows.column("id").to_pylist()
    twice = rows.set_column(0, rows.schema.field("id"), pa.array([ids[1], *ids[1:]]))
    numbers = rows.column("vector").combine_chunks().flatten().to_numpy().copy()
    numbers[3] = np.nan
    nan = pa.FixedSizeListArray.from_arrays(pa.array(numbers), rows.schema.field("vector").type.list_size)
    forged = {
        "twice": twice,
        "nan": rows.set_column(1, rows.schema.field("vector"), nan),
        "fewer": rows.slice(1),
        "renamed": rows.rename_columns(["id", "vector", "text", "other"]),
    }
    for table in forged.values():
        pq.write_table(table, tmp_path / "forged.parquet")
        rewrite(snapshot, "vectors.parquet", (tmp_path / "forged.parquet").read_bytes())
        with pytest.raises((CorruptionError, InvalidArgumentError)):
            db.restore(snapshot, name="back")
        assert db.collections() == ["docs"]
    for data in (
        b"x",
        b"PAR1" + b"\xff" * 100 + b"PAR1",
        (whole / file_in(whole, "vectors.parquet")).read_bytes()[:-9] + b"\0" * 9,
    ):
        rewrite(snapshot, "vectors.parquet", data)
        with pytest.raises(CorruptionError, match=r"vectors\.parquet"):
            db.restore(snapshot, name="back")
    rewrite(whole, "graph", b"NRRWGRPH" + bytes(8184))
    with pytest.raises(CorruptionError, match="graph"):
        db.restore(whole, name="back")
    assert db.collections() == ["docs"]


def test_damaged_snapshots_are_not_queried(snapshot: Path) -> None:
    truncate(snapshot, file_in(snapshot, "vectors.parquet"))
    with pytest.raises(StorageError, match=r"vectors\.parquet"):
        nearrow.query_snapshot(snapshot, "SELECT count(*) FROM docs")
    remove(snapshot, "metadata.parquet")
    with pytest.raises(CorruptionError, match=r"metadata\.parquet"):
        nearrow.query_snapshot(snapshot, "SELECT count(*) FROM docs")
