"""Directories: do local, memory and fault-injecting ones keep the same promises?"""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nearrow.errors import NotFoundError, ReadOnlyError, StorageError
from nearrow.storage import local_file
from nearrow.storage.local import LocalDirectory
from nearrow.storage.memory import MemoryDirectory
from nearrow.storage.watermark import VALUE_MAX, decode, encode
from nearrow.testing.directory_suite import DirectorySuite, write
from nearrow.testing.fault_directory import FaultDirectory


class TestLocalDirectory(DirectorySuite):
    @pytest.fixture
    def directory(self, tmp_path: Path) -> LocalDirectory:
        return LocalDirectory(tmp_path / "database")


class TestFolderOfLocalDirectory(DirectorySuite):
    @pytest.fixture
    def directory(self, tmp_path: Path) -> LocalDirectory:
        above = LocalDirectory(tmp_path)
        above.make_folder("docs")
        return above.folder("docs")


class TestMemoryDirectory(DirectorySuite):
    @pytest.fixture
    def directory(self) -> MemoryDirectory:
        return MemoryDirectory()


class TestFolderOfMemoryDirectory(DirectorySuite):
    @pytest.fixture
    def directory(self) -> MemoryDirectory:
        above = MemoryDirectory()
        above.make_folder("docs")
        return above.folder("docs")


class TestFaultDirectory(DirectorySuite):
    @pytest.fixture
    def directory(self) -> FaultDirectory:
        return FaultDirectory(seed=1)


class TestFolderOfFaultDirectory(DirectorySuite):
    @pytest.fixture
    def directory(self) -> FaultDirectory:
        above = FaultDirectory(seed=1)
        above.make_folder("docs")
        return above.folder("docs")


def test_read_only_directory_creates_nothing(tmp_path: Path) -> None:
    write(LocalDirectory(tmp_path), "a", b"a")
    reader = LocalDirectory(tmp_path, read_only=True)
    assert reader.read("a") == b"a"
    refused = [
        lambda: reader.create("b"),
        lambda: reader.publish("b", b""),
        lambda: reader.rename("a", "b"),
        lambda: reader.unlink("a"),
        lambda: reader.make_folder("b"),
        lambda: reader.remove_folder("b"),
        lambda: reader.lock("LOCK", exclusive=True),
        lambda: reader.watermark("WATERMARK").set(1),
    ]
    for act in refused:
        with pytest.raises(ReadOnlyError):
            act()
    with reader.lock("LEASE", exclusive=False) as lease:
        lease.check()
    assert reader.watermark("WATERMARK").get() == 0
    assert os.listdir(tmp_path) == ["a"]


def test_reader_that_came_before_the_writer_sees_its_watermark(tmp_path: Path) -> None:
    reader = LocalDirectory(tmp_path, read_only=True).watermark("WATERMARK")
    assert reader.get() == 0
    LocalDirectory(tmp_path).watermark("WATERMARK").set(5)
    assert reader.get() == 5


@pytest.mark.parametrize("content", [b"", b"abc", b"\0" * 8, b"garbage!", b"\xff" * 8, b"more than eight bytes"])
def test_watermark_file_of_any_content_is_a_valid_number(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "WATERMARK").write_bytes(content)
    assert LocalDirectory(tmp_path, read_only=True).watermark("WATERMARK").get() == 0
    writer = LocalDirectory(tmp_path).watermark("WATERMARK")
    assert writer.get() == 0
    writer.set(9)
    assert LocalDirectory(tmp_path, read_only=True).watermark("WATERMARK").get() == 9


def test_every_flipped_bit_of_a_watermark_reads_as_unknown() -> None:
    for value in (1, 2, 77, 123_456_789, VALUE_MAX):
        assert decode(encode(value)) == value
        assert all(decode(encode(value) ^ (1 << bit)) == 0 for bit in range(64))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_directory_without_write_permission_can_be_read(tmp_path: Path) -> None:
    write(LocalDirectory(tmp_path), "a", b"a")
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with LocalDirectory(tmp_path, read_only=True).lock("LEASE", exclusive=False):
            assert LocalDirectory(tmp_path, read_only=True).read("a") == b"a"
        with pytest.raises(StorageError, match="permission"):
            LocalDirectory(tmp_path).create("b")
    finally:
        tmp_path.chmod(stat.S_IRWXU)


def test_missing_directory_is_made_for_writers_only(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        LocalDirectory(tmp_path / "a", read_only=True)
    with pytest.raises(NotFoundError):
        LocalDirectory(tmp_path / "a", create=False)
    LocalDirectory(tmp_path / "a" / "b" / "c").publish("x", b"x")
    assert (tmp_path / "a" / "b" / "c" / "x").read_bytes() == b"x"


def test_directory_path_that_is_a_file_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError):
        LocalDirectory(tmp_path / "file" / "database")


def test_short_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectored, plain = os.pwritev, os.pwrite
    monkeypatch.setattr(local_file.os, "pwritev", lambda fd, parts, at: vectored(fd, [b"".join(parts)[:3]], at))
    monkeypatch.setattr(local_file.os, "pwrite", lambda fd, data, at: plain(fd, bytes(data[:2]), at))
    with LocalDirectory(tmp_path).create("a") as file:
        assert file.write_parts([b"one", b"two", b"three"]) == 11
    assert (tmp_path / "a").read_bytes() == b"onetwothree"


@pytest.mark.parametrize(("number", "advice"), [(errno.ENOSPC, "free some"), (errno.EIO, "check the disk")])
def test_disk_error_tells_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, advice: str) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    file = LocalDirectory(tmp_path).create("a")
    monkeypatch.setattr(local_file.os, "pwritev", fail)
    monkeypatch.setattr(local_file.os, "fdatasync", fail)
    for act in (lambda: file.write(b"x"), file.sync):
        with pytest.raises(StorageError, match=advice) as caught:
            act()
        assert caught.value.errno == number


def test_file_locks_are_not_inherited_by_other_programs(tmp_path: Path) -> None:
    with LocalDirectory(tmp_path).lock("LOCK", exclusive=True):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    try:
        LocalDirectory(tmp_path).lock("LOCK", exclusive=True).release()
    finally:
        child.communicate(b"\n")
