"""Garbage collection: does every file that is still needed stay, and every other one go?"""

from __future__ import annotations

from pathlib import Path

import pytest
from storage_versions import first_manifest, following, write_segment

from nearrow.errors import CorruptionError
from nearrow.storage.directory import Directory
from nearrow.storage.gc import LEASE, clean_temporary, referenced_names, retire
from nearrow.storage.local import LocalDirectory
from nearrow.storage.log_reader import read_log
from nearrow.storage.log_writer import LogWriter
from nearrow.storage.manifest import Manifest, commit, load, load_newest
from nearrow.storage.memory import MemoryDirectory
from nearrow.storage.published import Digester, digest, map_published
from nearrow.testing.fault_directory import FaultDirectory, PowerCut


@pytest.fixture(params=["local", "memory", "fault"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Directory:
    if request.param == "local":
        return LocalDirectory(tmp_path)
    return MemoryDirectory() if request.param == "memory" else FaultDirectory(seed=3)


def write_generations(directory: Directory, count: int) -> list[Manifest]:
    """Each generation has one segment of its own, in place of the one before, and a log of its own."""
    writer = LogWriter.create(directory, 1, 1, 1)
    versions = [commit(directory, first_manifest())]
    for number in range(2, count + 1):
        writer.append((b"row",))
        writer = writer.rotate()
        segment = write_segment(directory, f"{number:08d}")
        changed = {"segments": (segment,), "log_first_seq": writer.seq, "lsn": writer.last_lsn}
        versions.append(commit(directory, following(versions[-1], **changed)))
    writer.append((b"fresh",))
    writer.close()
    return versions


def all_names(directory: Directory) -> set[str]:
    segments = [
        f"segments/{one}/{name}" for one in directory.list("segments") for name in directory.list(f"segments/{one}")
    ]
    manifests = [name for name in directory.list() if name.startswith("manifest")]
    return {*manifests, *segments, *(f"log/{name}" for name in directory.list("log"))}


def test_only_what_two_generations_need_stays(directory: Directory) -> None:
    versions = write_generations(directory, 5)
    removed = retire(directory, referenced_names(*versions[-2:]))
    assert len(removed) == 3 + 3 + 2 * 2  # manifests, logs, two files each of two segments
    assert all_names(directory) == referenced_names(*versions[-2:])
    assert load_newest(directory) == versions[-1]
    assert load(directory, 4) == versions[-2]
    reader = read_log(directory, versions[-2].log_first_seq, after_lsn=versions[-2].lsn)
    assert [bytes(record.payload) for record in reader] == [b"row", b"fresh"]
    assert directory.list("segments") == ["00000004", "00000005"]


def test_files_stay_while_a_reader_maps_them(directory: Directory) -> None:
    versions = write_generations(directory, 4)
    before = all_names(directory)
    with directory.lock(LEASE, exclusive=False):
        assert retire(directory, referenced_names(*versions[-2:])) is None
        assert all_names(directory) == before
    assert retire(directory, referenced_names(*versions[-2:])) != []


def test_what_is_newer_or_being_written_stays(directory: Directory) -> None:
    versions = write_generations(directory, 4)
    retire(directory, {*referenced_names(*versions[1:3]), "segments/00000004"})
    assert load_newest(directory) == versions[-1]
    assert directory.list("segments") == ["00000002", "00000003", "00000004"]
    assert len(directory.list("log")) == 3


def test_nothing_is_collected_when_nothing_is_known(directory: Directory) -> None:
    versions = write_generations(directory, 3)
    retire(directory, {"segments/00000002", "segments/00000003"})
    assert load_newest(directory) == versions[-1]
    assert len(directory.list("log")) == 3


def test_old_bitmap_of_a_living_segment_goes_alone(directory: Directory) -> None:
    versions = write_generations(directory, 3)
    directory.publish("segments/00000003/deletes-0", b"old")
    assert "segments/00000003/deletes-0" in retire(directory, referenced_names(*versions[-2:]))
    assert directory.list("segments/00000003") == ["deletes-1", "rows.arrow"]


def test_other_files_are_none_of_our_business(directory: Directory) -> None:
    versions = write_generations(directory, 3)
    directory.make_folder("text")
    directory.publish("text/meta.json", b"{}")
    directory.publish("notes.txt", b"mine")
    retire(directory, referenced_names(*versions[-2:]))
    assert directory.exists("text/meta.json")
    assert directory.exists("notes.txt")


def test_leftovers_of_a_crash_are_cleaned_up(directory: Directory) -> None:
    write_generations(directory, 2)
    for name in ("manifest-00000003.json.tmp", "log/00000009.log.tmp"):
        with directory.create(name) as file:
            file.write(b"half")
    assert clean_temporary(directory) == ["manifest-00000003.json.tmp", "log/00000009.log.tmp"]
    assert not any(name.endswith(".tmp") for name in [*directory.list(), *directory.list("log")])


def test_collection_cut_by_a_power_loss_leaves_two_whole_generations() -> None:
    rehearsal = FaultDirectory(0)
    retire(rehearsal, referenced_names(*write_generations(rehearsal, 5)[-2:]))
    for seed in range(60):
        directory = FaultDirectory(seed)
        versions = write_generations(directory, 5)
        directory.arm(1 + seed % 15, PowerCut)
        try:
            retire(directory, referenced_names(*versions[-2:]))
        except PowerCut:
            assert directory.fired
        after = directory.crash()
        assert load_newest(after) == versions[-1]
        for version in versions[-2:]:
            assert load(after, version.number) == version
            for name, entry in version.segments[0].all_files().items():
                map_published(after, name, entry.length, entry.digest)
        reader = read_log(after, versions[-2].log_first_seq, after_lsn=versions[-2].lsn)
        assert len(list(reader)) == 2


def test_published_file_is_checked_before_it_is_used(directory: Directory) -> None:
    directory.publish("a", b"content")
    assert bytes(map_published(directory, "a", 7, digest(b"content"))) == b"content"
    for name, length, expected in (("a", 8, None), ("a", 7, digest(b"other")), ("absent", 7, None)):
        with pytest.raises(CorruptionError, match="manifest"):
            map_published(directory, name, length, expected)


def test_digest_of_pieces_is_that_of_the_whole() -> None:
    digester = Digester()
    for piece in (b"one", b"", b"two"):
        digester.update(piece)
    assert digester.hexdigest() == digest(b"onetwo")
