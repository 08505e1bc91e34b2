"""Directory suite: does this Directory do what Nearrow needs of one?

Shipped, so that anyone's implementation can be tested: subclass it in a pytest module and give it a fixture.

    class TestMyDirectory(DirectorySuite):
        @pytest.fixture
        def directory(self): return MyDirectory()
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from nearrow.errors import (
    AlreadyExistsError,
    ClosedError,
    InvalidArgumentError,
    LockedError,
    NotFoundError,
    StorageError,
)
from nearrow.storage.directory import Directory
from nearrow.storage.watermark import VALUE_MAX


def write(directory: Directory, name: str, *parts: bytes) -> None:
    """A durable file made of `parts`."""
    with directory.create(name) as file:
        for part in parts:
            file.write(part)
        file.sync()


class DirectorySuite:
    """Conformance tests; each gets an empty, writable `directory`."""

    def test_written_bytes_are_read_back(self, directory: Directory) -> None:
        write(directory, "a.bin", b"one", b"", b"two")
        assert directory.read("a.bin") == b"onetwo"
        assert bytes(directory.map("a.bin")) == b"onetwo"
        assert directory.size("a.bin") == 6

    def test_parts_of_every_kind_are_written_in_order(self, directory: Directory) -> None:
        with directory.create("a.bin") as file:
            parts = [b"bytes ", bytearray(b"bytearray "), memoryview(b"memoryview "), pa.py_buffer(b"arrow"), b""]
            assert file.write_parts(parts) == 32
            assert file.write_parts([bytes([n % 256]) for n in range(3000)]) == 3000
            assert file.size == file.tell() == 3032
        assert directory.read("a.bin")[:32] == b"bytes bytearray memoryview arrow"
        assert directory.read("a.bin")[32:] == bytes([n % 256 for n in range(3000)])

    def test_file_can_be_read_while_it_is_written(self, directory: Directory) -> None:
        with directory.create("a.bin") as file:
            file.write(b"first")
            before = directory.map("a.bin")
            file.write(b" second")
            assert bytes(before)[:5] == b"first"
            assert bytes(directory.map("a.bin")) == b"first second"

    def test_preallocated_file_has_its_bytes_first_and_then_only_zeros(self, directory: Directory) -> None:
        with directory.create("a.log", preallocate=4096) as file:
            for number in range(100):
                file.write(bytes([number + 1]) * 100)
            assert file.size == 10_000
            file.sync()
        data = directory.read("a.log")
        assert data[:10_000] == b"".join(bytes([number + 1]) * 100 for number in range(100))
        assert not any(data[10_000:])

    def test_empty_file_can_be_mapped(self, directory: Directory) -> None:
        write(directory, "empty")
        assert directory.size("empty") == 0
        assert directory.map("empty").size == 0

    def test_mapped_bytes_outlive_unlink_and_rename(self, directory: Directory) -> None:
        write(directory, "a", b"x" * 100_000)
        write(directory, "b", b"y" * 100_000)
        first, second = directory.map("a"), directory.map("b")
        directory.unlink("a")
        directory.rename("b", "c")
        assert bytes(first) == b"x" * 100_000
        assert bytes(second) == b"y" * 100_000
        assert not directory.exists("a")
        assert directory.list() == ["c"]

    def test_mapped_file_begins_aligned_for_arrow(self, directory: Directory) -> None:
        write(directory, "a", b"x" * 1000)
        assert directory.map("a").address % 64 == 0

    def test_arrow_writes_into_a_file_and_reads_it_mapped(self, directory: Directory) -> None:
        table = pa.table({"number": list(range(10_000)), "name": [str(n) for n in range(10_000)]})
        with directory.create("table.arrow") as file:
            with pa.ipc.new_file(pa.PythonFile(file, "w"), table.schema) as writer:
                writer.write_table(table)
            file.sync()
        assert pa.ipc.open_file(directory.map("table.arrow")).read_all() == table

    def test_missing_file_is_not_found(self, directory: Directory) -> None:
        for act in (directory.read, directory.map, directory.size, directory.unlink):
            with pytest.raises(NotFoundError, match="absent"):
                act("absent")
        with pytest.raises(NotFoundError):
            directory.rename("absent", "b")
        assert not directory.exists("absent")
        assert directory.list("absent") == []

    def test_published_file_is_never_overwritten(self, directory: Directory) -> None:
        write(directory, "a", b"old")
        write(directory, "b", b"new")
        with pytest.raises(AlreadyExistsError):
            directory.create("a")
        with pytest.raises(AlreadyExistsError):
            directory.rename("b", "a")
        with pytest.raises(AlreadyExistsError):
            directory.publish("a", b"new")
        assert directory.read("a") == b"old"

    def test_publish_replaces_what_a_crash_left_under_the_temporary_name(self, directory: Directory) -> None:
        write(directory, "a.tmp", b"half of something lon")
        directory.publish("a", b"whole")
        assert directory.read("a") == b"whole"
        assert directory.list() == ["a"]

    def test_folders_are_made_listed_and_removed(self, directory: Directory) -> None:
        directory.make_folder("one/two")
        directory.make_folder("one/two")
        write(directory, "one/two/b", b"b")
        write(directory, "one/a", b"a")
        directory.sync_folder("one/two")
        directory.sync_folder()
        assert directory.list() == ["one"]
        assert directory.list("one") == ["a", "two"]
        assert directory.exists("one/two")
        directory.rename("one/two", "one/three")
        assert directory.read("one/three/b") == b"b"
        directory.remove_folder("one")
        directory.remove_folder("one")
        assert directory.list() == []

    def test_folder_cannot_lie_where_a_file_is(self, directory: Directory) -> None:
        write(directory, "a", b"a")
        for name in ("a", "a/b"):
            with pytest.raises(StorageError):
                directory.make_folder(name)

    def test_file_needs_its_folder(self, directory: Directory) -> None:
        with pytest.raises(NotFoundError):
            directory.create("nowhere/a")
        with pytest.raises(NotFoundError):
            directory.sync_folder("nowhere")

    def test_folder_is_a_directory_of_its_own(self, directory: Directory) -> None:
        directory.make_folder("docs")
        below = directory.folder("docs")
        below.publish("a", b"a")
        below.make_folder("deep")
        below.folder("deep").publish("b", b"b")
        below.sync_folder()
        assert below.list() == ["a", "deep"]
        assert directory.read("docs/deep/b") == b"b"
        with below.lock("LOCK", exclusive=True), directory.lock("LOCK", exclusive=True):
            assert directory.locked("docs/LOCK")

    @pytest.mark.parametrize(
        "name", ["", "/etc/passwd", "../a", "a/../../b", "a//b", "a/", ".hidden", "ä", "a\0b", "a\n"]
    )
    def test_name_that_nearrow_would_not_make_is_refused(self, directory: Directory, name: str) -> None:
        for act in (directory.exists, directory.read, directory.create, directory.unlink, directory.remove_folder):
            with pytest.raises(InvalidArgumentError):
                act(name)

    def test_closed_file_refuses_writes(self, directory: Directory) -> None:
        file = directory.create("a")
        file.close()
        file.close()
        assert file.closed
        for act in (lambda: file.write(b"x"), file.begin_sync, file.sync, file.flush):
            with pytest.raises(ClosedError):
                act()

    def test_exclusive_lock_excludes_all_others_at_once(self, directory: Directory) -> None:
        with directory.lock("LOCK", exclusive=True) as lock:
            lock.check()
            assert lock.held
            assert directory.locked("LOCK")
            for exclusive in (True, False):
                with pytest.raises(LockedError, match="LOCK"):
                    directory.lock("LOCK", exclusive=exclusive)
        assert not lock.held
        assert not directory.locked("LOCK")
        with pytest.raises(ClosedError):
            lock.check()
        directory.lock("LOCK", exclusive=True).release()

    def test_shared_locks_live_together_and_exclude_the_exclusive_one(self, directory: Directory) -> None:
        first, second = directory.lock("LEASE", exclusive=False), directory.lock("LEASE", exclusive=False)
        first.release()
        first.release()
        with pytest.raises(LockedError):
            directory.lock("LEASE", exclusive=True)
        second.release()
        directory.lock("LEASE", exclusive=True).release()

    def test_asking_for_a_lock_takes_nothing(self, directory: Directory) -> None:
        assert not directory.locked("LOCK")
        with directory.lock("LOCK", exclusive=False):
            assert not directory.locked("LOCK")

    def test_watermark_is_shared_by_its_handles(self, directory: Directory) -> None:
        writer, reader = directory.watermark("WATERMARK"), directory.watermark("WATERMARK")
        assert reader.get() == 0
        for value in (1, 12_345, VALUE_MAX, 7):
            writer.set(value)
            assert reader.get() == writer.get() == value
        writer.sync()
        with pytest.raises(InvalidArgumentError):
            writer.set(VALUE_MAX + 1)
        with pytest.raises(InvalidArgumentError):
            writer.set(-1)
        writer.close()
        reader.close()

    def test_threads_work_side_by_side(self, directory: Directory) -> None:
        def publish(number: int) -> bytes:
            directory.publish(f"file-{number}", b"%d" % number * 1000)
            return bytes(directory.map(f"file-{number}"))

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(publish, range(40))) == [b"%d" % number * 1000 for number in range(40)]
        assert len(directory.list()) == 40

    def test_free_space_is_told(self, directory: Directory) -> None:
        assert directory.free_bytes() > 0
