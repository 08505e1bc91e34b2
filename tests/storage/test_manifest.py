"""Manifest: is the newest committed version found again, whole, or refused?"""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from storage_versions import first_manifest, following, write_segment

from nearrow.errors import (
    AlreadyExistsError,
    CorruptionError,
    IncompatibleFormatError,
    InvalidArgumentError,
    NotFoundError,
    StorageError,
)
from nearrow.storage.directory import Directory
from nearrow.storage.local import LocalDirectory
from nearrow.storage.manifest import (
    FileEntry,
    Manifest,
    commit,
    file_name,
    generations,
    load,
    load_newest,
)
from nearrow.storage.memory import MemoryDirectory
from nearrow.storage.published import digest
from nearrow.testing.fault_directory import FaultDirectory, PowerCut


@pytest.fixture(params=["local", "memory", "fault"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Directory:
    if request.param == "local":
        return LocalDirectory(tmp_path)
    return MemoryDirectory() if request.param == "memory" else FaultDirectory(seed=3)


def commit_versions(directory: Directory, count: int) -> list[Manifest]:
    versions = [commit(directory, first_manifest())]
    for number in range(2, count + 1):
        segments = (*versions[-1].segments, write_segment(directory, f"{number:08d}"))
        versions.append(commit(directory, following(versions[-1], segments=segments, next_row=number * 100)))
    return versions


def test_directory_without_manifest_has_none(directory: Directory) -> None:
    assert load_newest(directory) is None


def test_newest_version_is_loaded_as_it_was_committed(directory: Directory) -> None:
    versions = commit_versions(directory, 3)
    assert load_newest(directory) == versions[-1]
    assert generations(directory) == [1, 2, 3]
    assert [load(directory, number) for number in (1, 2, 3)] == versions
    with pytest.raises(NotFoundError):
        load(directory, 4)


def test_segment_entry_names_its_files() -> None:
    entry = write_segment(MemoryDirectory(), "00000007")
    assert entry.path("rows.arrow") == "segments/00000007/rows.arrow"
    assert sorted(entry.all_files()) == ["segments/00000007/deletes-1", "segments/00000007/rows.arrow"]


def test_version_made_from_another_than_the_newest_is_refused(directory: Directory) -> None:
    first, second = commit_versions(directory, 2)
    for stale in (
        following(first),
        replace(following(second), number=4),
        replace(following(second), previous_digest=first.digest),
    ):
        with pytest.raises(StorageError, match="reopen"):
            commit(directory, stale)
    assert load_newest(directory) == second


def test_version_that_names_a_missing_or_short_file_is_refused(directory: Directory) -> None:
    version = commit(directory, first_manifest())
    entry = write_segment(directory, "00000001")
    short = replace(entry, files={"rows.arrow": FileEntry(1, "")})
    with pytest.raises(StorageError, match=r"rows\.arrow"):
        commit(directory, following(version, segments=(short,)))
    absent = replace(entry, files={"ids.bin": FileEntry(1, "")})
    with pytest.raises(NotFoundError, match=r"ids\.bin"):
        commit(directory, following(version, segments=(absent,)))
    assert load_newest(directory) == version


def test_config_that_json_cannot_hold_is_refused(directory: Directory) -> None:
    for value in (float("nan"), object(), {"a": {2, 3}}, b"bytes"):
        with pytest.raises(InvalidArgumentError, match="JSON"):
            commit(directory, replace(first_manifest(), config={"value": value}))
    assert load_newest(directory) is None


def test_every_flipped_byte_is_found() -> None:
    directory = MemoryDirectory()
    data = commit_versions(directory, 3)[-1].to_bytes()
    for position in range(len(data)):
        for mask in (0x01, 0x80):
            damaged = data[:position] + bytes([data[position] ^ mask]) + data[position + 1 :]
            with pytest.raises(StorageError):
                Manifest.from_bytes(damaged)


def test_every_truncation_is_found() -> None:
    data = commit_versions(MemoryDirectory(), 2)[-1].to_bytes()
    for size in range(len(data)):
        with pytest.raises(CorruptionError):
            Manifest.from_bytes(data[:size])


def test_damaged_newest_version_is_not_silently_replaced_by_the_one_before(tmp_path: Path) -> None:
    directory = LocalDirectory(tmp_path)
    commit_versions(directory, 2)
    path = tmp_path / file_name(2)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CorruptionError, match="repair"):
        load_newest(directory)
    assert load(directory, 1).number == 1


def test_deleted_newest_version_is_noticed(directory: Directory) -> None:
    commit_versions(directory, 2)
    directory.unlink(file_name(2))
    with pytest.raises(CorruptionError, match="missing"):
        load_newest(directory)
    directory.unlink(file_name(1))
    with pytest.raises(CorruptionError, match="missing"):
        load_newest(directory)


def test_damaged_older_version_does_no_harm(tmp_path: Path) -> None:
    directory = LocalDirectory(tmp_path)
    newest = commit_versions(directory, 2)[-1]
    (tmp_path / file_name(1)).write_bytes(b"garbage")
    assert load_newest(directory) == newest


def test_version_of_another_database_is_refused() -> None:
    directory = MemoryDirectory()
    commit(directory, first_manifest())
    stranger = replace(first_manifest(), number=2, uuid="other", previous_digest="0" * 32)
    directory.publish(file_name(2), stranger.to_bytes())
    with pytest.raises(CorruptionError, match="does not follow"):
        load_newest(directory)


def test_version_under_a_wrong_name_is_refused() -> None:
    directory = MemoryDirectory()
    directory.publish(file_name(5), first_manifest().to_bytes())
    with pytest.raises(CorruptionError, match="number 1"):
        load_newest(directory)


@pytest.mark.parametrize(
    "newer",
    [replace(first_manifest(), format_version=2), replace(first_manifest(), features=("quantum",))],
    ids=["version", "feature"],
)
def test_newer_format_is_refused(newer: Manifest) -> None:
    with pytest.raises(IncompatibleFormatError, match="upgrade"):
        Manifest.from_bytes(newer.to_bytes())


@pytest.mark.parametrize(
    "change",
    [
        {"segments": 1},
        {"segments": [{"id": "1"}]},
        {"features": None},
        {"unknown": 1},
        {"segments": [[]]},
    ],
)
def test_well_signed_nonsense_is_corruption(change: dict[str, Any]) -> None:
    body = json.loads(first_manifest().to_bytes())["manifest"] | change
    data = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    signed = b'{"format":"nearrow-manifest-1","digest":"%s","manifest":%s}\n' % (digest(data).encode(), data)
    with pytest.raises(CorruptionError):
        Manifest.from_bytes(signed)


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 50))
def test_any_damage_is_a_typed_error_or_the_same_version(patch: bytes, position: int, cut: int) -> None:
    manifest = first_manifest()
    data = manifest.to_bytes()
    damaged = data[:position] + patch + data[position + cut :]
    try:
        loaded = Manifest.from_bytes(damaged)
    except StorageError:
        return
    assert damaged == data
    assert loaded == manifest


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_typed_error(data: bytes) -> None:
    signed = b'{"format":"nearrow-manifest-1","digest":"%s","manifest":{%s}}\n'
    body = b"{" + data + b"}"
    for one in (data, signed % (digest(body).encode(), data)):
        with pytest.raises(StorageError):
            Manifest.from_bytes(one)


@pytest.mark.parametrize("error", [PowerCut, errno.EIO, errno.ENOSPC], ids=["power", "EIO", "ENOSPC"])
def test_committed_version_survives_a_fault_at_every_operation(error: int | type[PowerCut]) -> None:
    rehearsal = FaultDirectory(0)
    commit_versions(rehearsal, 4)
    images = 0
    for fail_at in range(1, len(rehearsal.operations) + 1):
        for seed in range(12):
            directory = FaultDirectory(seed, fail_at=fail_at, error=error)
            committed: list[Manifest] = []
            try:
                committed.append(commit(directory, first_manifest()))
                for number in range(2, 5):
                    segments = (*committed[-1].segments, write_segment(directory, f"{number:08d}"))
                    committed.append(commit(directory, following(committed[-1], segments=segments)))
            except (PowerCut, StorageError):
                assert directory.fired
            after = directory.crash() if seed % 3 else directory.kill()
            assert_version_holds(after, len(committed))
            images += 1
    assert images > 300


def assert_version_holds(directory: Directory, committed: int) -> None:
    """The newest version is at least the one acknowledged, and all of its files are whole."""
    newest = load_newest(directory)
    assert (newest.number if newest else 0) in (committed, committed + 1)
    for segment in newest.segments if newest else ():
        for name, entry in segment.all_files().items():
            data = directory.read(name)
            assert (len(data), digest(data)) == (entry.length, entry.digest)


def commit_and_crash(seeds: range) -> None:
    for seed in seeds:
        directory = FaultDirectory(seed)
        commit_versions(directory, Random(seed).randint(1, 4))
        assert_version_holds(directory.crash(), generations(directory)[-1])


def test_commit_without_fsync_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from nearrow.testing.fault_disk import FaultOutputFile

    monkeypatch.setattr(FaultOutputFile, "sync", lambda self: None)
    with pytest.raises((AssertionError, StorageError)):
        commit_and_crash(range(20))


def test_leftover_of_an_interrupted_commit_is_no_version() -> None:
    directory = MemoryDirectory()
    version = commit(directory, first_manifest())
    with directory.create(file_name(2) + ".tmp") as file:
        file.write(b"half")
    assert load_newest(directory) == version
    assert load_newest(directory) == version
    second = commit(directory, following(version))
    assert load_newest(directory) == second
    with pytest.raises(AlreadyExistsError):
        directory.publish(second.file_name, b"")
