"""Damage: what does a segment do when its bytes are not what was written?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from segment_rows import assert_same_rows, simple_rows, write_and_open

from nearrow.errors import CorruptionError, IncompatibleFormatError, NearrowError
from nearrow.segment.reader import Segment
from nearrow.segment.writer import write_segment
from nearrow.storage.local import LocalDirectory
from nearrow.storage.manifest import SegmentEntry

ROWS = simple_rows(40)


def flip_every_byte(file: str, mode: str, mask: int) -> dict[str, int]:
    script = Path(__file__).with_name("flip_bytes.py")
    command = [sys.executable, str(script), file, mode, str(mask)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr[-2000:]}"
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


@pytest.mark.parametrize("file", ["rows.arrow", "ids.bin", "zones.arrow"])
def test_any_flipped_byte_of_a_small_file_gives_a_typed_error_or_right_rows(file: str) -> None:
    counts = flip_every_byte(file, "eager", 0xFF)
    assert set(counts) <= ({"typed error"} if file == "rows.arrow" else {"harmless"})


@pytest.mark.parametrize("mask", [0xFF, 0x01])
def test_any_flipped_byte_of_a_big_rows_file_never_crashes_and_verify_finds_it(mask: int) -> None:
    counts = flip_every_byte("rows.arrow", "lazy", mask)
    assert counts["typed error"] > 0
    assert counts["changed values, found by verify"] > 0


@pytest.mark.parametrize("mask", [0xFF, 0x01])
def test_any_flipped_byte_of_a_big_id_table_is_healed(mask: int) -> None:
    assert set(flip_every_byte("ids.bin", "lazy", mask)) == {"harmless"}


@pytest.fixture
def on_disk(tmp_path: Path) -> tuple[LocalDirectory, SegmentEntry]:
    directory = LocalDirectory(tmp_path)
    return directory, write_segment(directory, "s", ROWS)


def replace_file(directory: LocalDirectory, name: str, data: bytes) -> None:
    directory.unlink(name)
    with directory.create(name) as file:
        file.write(data)


@pytest.mark.parametrize("file", ["ids.bin", "zones.arrow"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "foreign"])
def test_derived_files_may_be_lost(on_disk: tuple[LocalDirectory, SegmentEntry], file: str, damage: str) -> None:
    directory, entry = on_disk
    name = entry.path(file)
    data = directory.read(name)
    contents = {"truncated": data[:-1], "empty": b"", "foreign": b"\0" * len(data)}
    if damage == "missing":
        directory.unlink(name)
    else:
        replace_file(directory, name, contents[damage])
    segment = Segment.open(directory, entry, ROWS.schema, metric="l2")
    assert_same_rows(segment, ROWS)
    assert segment.zone_map("year") in (None, (2000, 2038, 8))
    assert name in segment.damage[0]
    assert name in segment.verify()[0]


@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "foreign"])
def test_lost_rows_are_an_error_that_names_the_file(on_disk: tuple[LocalDirectory, SegmentEntry], damage: str) -> None:
    directory, entry = on_disk
    name = entry.path("rows.arrow")
    data = directory.read(name)
    contents = {"truncated": data[:-1], "empty": b"", "foreign": b"\0" * len(data)}
    if damage == "missing":
        directory.unlink(name)
    else:
        replace_file(directory, name, contents[damage])
    with pytest.raises(CorruptionError, match=name):
        Segment.open(directory, entry, ROWS.schema, metric="l2")


def test_rows_of_another_segment_are_refused(tmp_path: Path) -> None:
    directory = LocalDirectory(tmp_path)
    first, second = write_segment(directory, "s1", ROWS), write_segment(directory, "s2", ROWS)
    confused = SegmentEntry("s2", first.rows, first.files, min_row=first.min_row, max_row=first.max_row)
    replace_file(directory, second.path("rows.arrow"), directory.read(first.path("rows.arrow")))
    with pytest.raises(CorruptionError, match="belongs to segment"):
        Segment.open(directory, confused, ROWS.schema, metric="l2")


def test_a_newer_format_is_refused_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = LocalDirectory(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("nearrow.segment.format.FORMAT_VERSION", 2)
        entry = write_segment(directory, "s", ROWS)
    with pytest.raises(IncompatibleFormatError, match="upgrade"):
        Segment.open(directory, entry, ROWS.schema, metric="l2")


def test_a_mapped_segment_outlives_its_files(on_disk: tuple[LocalDirectory, SegmentEntry]) -> None:
    directory, entry = on_disk
    segment = Segment.open(directory, entry, ROWS.schema, metric="l2")
    directory.remove_folder(entry.folder)
    assert_same_rows(segment, ROWS)


def test_untouched_columns_are_not_checked_but_touched_ones_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nearrow.segment.format.EAGER_DIGEST_BYTES", 0)
    directory = LocalDirectory(tmp_path)
    entry = write_segment(directory, "s", ROWS)
    name = entry.path("rows.arrow")
    mapped = directory.map(name)
    offsets = pa.ipc.open_file(mapped).get_batch(0).column("text").buffers()[1]
    data = bytearray(directory.read(name))
    data[offsets.address - mapped.address + 4 * 20 + 3] = 0x7F  # the 20th text begins far outside
    replace_file(directory, name, bytes(data))
    segment = Segment.open(directory, entry, ROWS.schema, metric="l2")
    assert segment.select(["id", "year"]).num_rows == 40
    assert segment.find_one("id-3") == 3
    for use in (lambda: segment.table, lambda: segment.batches, lambda: segment.select(["text"])):
        with pytest.raises(NearrowError, match="column 'text'"):
            use()
    assert any("rows.arrow" in problem for problem in segment.verify())


def test_a_sound_segment_verifies() -> None:
    assert write_and_open(ROWS, batch_rows=16).verify() == []
