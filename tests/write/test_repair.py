"""Repair: is what it says true, and is the rest of the collection as it was?"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from damage import flip, folder, largest, make, rows

import nearrow
from nearrow.collection import Collection
from nearrow.testing.children import Report, run_child
from nearrow.testing.disk_calls import DiskCalls


def ids(docs: Collection) -> set[str]:
    return set(docs.to_arrow()["id"].to_pylist())


def everything() -> set[str]:
    return {f"id-{n}" for n in range(213)} - {"id-3", "id-5"}


@pytest.mark.parametrize("kind", ["ids.bin", "zones.arrow", "graph.bin"])
def test_derived_damage_costs_no_row(tmp_path: Path, kind: str) -> None:
    make(tmp_path)
    damaged = largest(tmp_path, f"segments/*/{kind}")
    name = damaged.relative_to(folder(tmp_path)).as_posix()
    with nearrow.connect(tmp_path) as db:
        docs = db.collection("docs")
        before = docs.to_arrow().sort_by("id")
        flip(damaged)
        done = docs.repair()
        assert (done.rebuilt, done.rows_lost, done.unverified_rows) == ((name,), 0, 0)
        docs.wait()
        assert docs.check().ok, str(docs.check())
        assert docs.to_arrow().sort_by("id").equals(before)
        assert docs.search([7.0, 1.0, 2.0, 3.0], k=1)[0].id == "id-7"
        docs.upsert(rows(300, 301))
    assert (folder(tmp_path) / done.quarantined[0]).exists()
    with nearrow.connect(tmp_path) as db:
        assert "id-300" in db.collection("docs")


def test_sound_collection_is_left_alone(tmp_path: Path) -> None:
    make(tmp_path)
    before = sorted(path.name for path in folder(tmp_path).rglob("*"))
    assert not nearrow.connect(tmp_path).repair_collection("docs").changed
    assert sorted(path.name for path in folder(tmp_path).rglob("*")) == before


def test_damaged_rows_are_salvaged_and_said_to_be_unverified(tmp_path: Path) -> None:
    make(tmp_path)
    damaged = largest(tmp_path, "segments/*/rows.arrow")
    data = bytearray(damaged.read_bytes())
    where = data.index(np.array([77.0, 1.0, 2.0, 3.0], np.float32).tobytes())
    data[where : where + 4] = np.array([np.nan], np.float32).tobytes()  # a vector that cannot be
    damaged.write_bytes(data)
    db = nearrow.connect(tmp_path)
    with pytest.raises(nearrow.CorruptionError, match="repair"):
        db.collection("docs")
    done = db.repair_collection("docs")
    assert [(lost.rows, lost.ids) for lost in done.lost] == [(1, ("id-77",))]
    assert 0 < done.unverified_rows <= len(everything()) - 1
    assert "unverified" in str(done)
    docs = db.collection("docs")
    assert ids(docs) == everything() - {"id-77"}
    docs.wait()
    assert docs.check().ok, str(docs.check())
    db.close()


def test_footer_of_the_rows_is_not_needed(tmp_path: Path) -> None:
    make(tmp_path)
    damaged = largest(tmp_path, "segments/*/rows.arrow")
    flip(damaged, -3)
    db = nearrow.connect(tmp_path)
    assert db.repair_collection("docs").rows_lost == 0
    assert ids(db.collection("docs")) == everything()
    db.close()


def test_rows_that_are_gone_are_counted(tmp_path: Path) -> None:
    make(tmp_path)
    damaged = largest(tmp_path, "segments/*/rows.arrow")
    damaged.write_bytes(bytes(damaged.stat().st_size))
    db = nearrow.connect(tmp_path)
    done = db.repair_collection("docs")
    survivors = ids(db.collection("docs"))
    assert done.rows_lost == len(everything()) - len(survivors)
    assert survivors < everything()
    assert "id-212" in survivors
    db.close()


def test_damaged_bitmap_brings_back_what_it_says(tmp_path: Path) -> None:
    make(tmp_path)
    flip(largest(tmp_path, "segments/*/deletes-*"))
    db = nearrow.connect(tmp_path)
    done = db.repair_collection("docs")
    docs = db.collection("docs")
    assert len(ids(docs) - everything()) == done.deletes_lost
    assert everything() <= ids(docs)
    assert docs.check().ok
    db.close()


def test_damaged_log_is_cut_and_the_loss_is_counted(tmp_path: Path) -> None:
    with nearrow.connect(tmp_path) as db:
        docs = db.create_collection("docs", 4, metric="l2")
        for n in range(5):
            docs.upsert(rows(n, n + 1))
    log = sorted(folder(tmp_path).glob("log/*"))[-1]
    flip(log, log.read_bytes().index(b"id-3"))
    db = nearrow.connect(tmp_path)
    done = db.repair_collection("docs")
    assert done.records_lost == 2
    assert any(name.endswith(log.name) for name in done.quarantined)
    docs = db.collection("docs")
    assert ids(docs) == {"id-0", "id-1", "id-2"}
    docs.upsert(rows(3, 9))
    assert docs.check().ok, str(docs.check())
    db.close()
    assert len(nearrow.connect(tmp_path, read_only=True).collection("docs")) == 9


def test_damaged_newest_manifest_falls_back_and_keeps_what_it_named(tmp_path: Path) -> None:
    with nearrow.connect(tmp_path) as db:
        docs = db.create_collection("docs", 4, metric="l2", graph_rows_min=10_000)
        docs.upsert(rows(0, 5))
        docs.flush()
    newest = sorted(folder(tmp_path).glob("manifest-*"))[-1]
    flip(newest, 100)
    db = nearrow.connect(tmp_path)
    with pytest.raises(nearrow.CorruptionError):
        db.collections()
    done = db.repair_collection("docs")
    assert any("fell back" in note for note in done.notes)
    assert any(name.endswith("rows.arrow") for name in done.quarantined)
    docs = db.collection("docs")
    assert ids(docs) == {f"id-{n}" for n in range(5)}  # the log behind the older manifest still held them
    assert docs.check().ok, str(docs.check())
    db.close()


def test_without_any_manifest_nothing_is_pretended(tmp_path: Path) -> None:
    make(tmp_path)
    for manifest in folder(tmp_path).glob("manifest-*"):
        flip(manifest, 100)
    with pytest.raises(nearrow.CorruptionError, match="restore a snapshot"):
        nearrow.connect(tmp_path).repair_collection("docs")


def test_damaged_text_index_is_built_again(tmp_path: Path) -> None:
    make(tmp_path, text=True)
    flip(largest(tmp_path, "text/*.store"))
    with nearrow.connect(tmp_path) as db:
        assert db.repair_collection("docs").rebuilt == ("text",)
        docs = db.collection("docs")
        docs.wait()
        assert docs.check().ok, str(docs.check())
        assert docs.search(text="77", k=1)[0].id == "id-77"


def test_reader_may_not_repair(tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(nearrow.ReadOnlyError):
        nearrow.connect(tmp_path, read_only=True).collection("docs").repair()


def test_in_memory_collection_can_be_checked_and_repaired() -> None:
    docs = nearrow.connect(":memory:").create_collection("docs", 4, metric="l2")
    docs.upsert(pa.Table.from_pylist(rows(0, 3)))
    assert docs.check().ok
    assert not docs.repair().changed
    assert len(docs) == 3


def repair_with_fault(library: Path, strike_at: int) -> DiskCalls:
    with nearrow.connect(library) as db, DiskCalls(strike_at, "EIO").installed() as calls:
        try:
            db.repair_collection("docs")
        except nearrow.NearrowError:
            assert calls.fired
    return calls


def told(library: Path) -> set[str]:
    """The ids that the reports in quarantine/ say are lost."""
    reports = [json.loads(path.read_text()) for path in folder(library).glob("quarantine/*/report.json")]
    return {row_id for report in reports for lost in report["lost"] for row_id in lost["ids"]}


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_repair_killed_at_any_call_loses_no_more_and_its_report_is_not_lost(tmp_path: Path) -> None:
    make(tmp_path / "whole")
    damaged = largest(tmp_path / "whole", "segments/*/rows.arrow")
    data = damaged.read_bytes()
    where = data.index(np.array([77.0, 1.0, 2.0, 3.0], np.float32).tobytes())
    damaged.write_bytes(data[:where] + np.array([np.nan], np.float32).tobytes() + data[where + 4 :])
    kills = 0
    for strike_at in range(1, 200, 2):
        library = tmp_path / "struck"
        shutil.rmtree(library, ignore_errors=True)
        shutil.copytree(tmp_path / "whole", library)

        def repair(report: Report, strike_at: int = strike_at) -> None:
            with nearrow.connect(tmp_path / "struck") as db, DiskCalls(strike_at).installed():
                db.repair_collection("docs")

        if not run_child(repair).killed:
            break
        kills += 1
        with nearrow.connect(library) as db:
            db.repair_collection("docs")
            assert ids(db.collection("docs")) == everything() - {"id-77"}
        assert told(library) == {"id-77"}
    assert kills > 30


def test_repair_that_stops_at_any_of_its_last_calls_loses_nothing(tmp_path: Path) -> None:
    make(tmp_path / "whole")
    flip(largest(tmp_path / "whole", "segments/*/graph.bin"))
    shutil.copytree(tmp_path / "whole", tmp_path / "counted")
    calls = len(repair_with_fault(tmp_path / "counted", 0).kinds)
    for strike_at in range(calls - 22, calls + 1):
        library = tmp_path / str(strike_at)
        shutil.copytree(tmp_path / "whole", library)
        assert repair_with_fault(library, strike_at).fired
        with nearrow.connect(library) as db:  # also without a second repair: only derived data is damaged
            assert ids(db.collection("docs")) == everything()
        again = nearrow.connect(library).repair_collection("docs")
        assert (again.rows_lost, again.records_lost, again.deletes_lost) == (0, 0, 0)
