"""MemoryDirectory: how does a database live without a disk?

The same rules as on a disk, except that nothing survives the process. Mapped files are 64-byte aligned Arrow buffers.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType

import pyarrow as pa

from nearrow.errors import AlreadyExistsError, ClosedError, InvalidArgumentError, NotFoundError, StorageError
from nearrow.storage.directory import BytesLike, Lock, Watermark, checked_name, parent_of, publish_file
from nearrow.storage.lock_table import LockTable
from nearrow.storage.watermark import VALUE_MAX

_FREE_BYTES = 1 << 40  # what a memory directory claims to have free: the OS will say when it has not


class MemoryFile:
    """The bytes of one file: a frozen beginning and the pieces written since it was last read."""

    def __init__(self) -> None:
        self._frozen: pa.Buffer = pa.py_buffer(b"")
        self._pieces: list[bytes] = []
        self.size = 0
        self._mutex = threading.Lock()

    def append(self, data: BytesLike) -> None:
        piece = bytes(data)
        with self._mutex:
            self._pieces.append(piece)
            self.size += len(piece)

    def content(self) -> pa.Buffer:
        with self._mutex:
            if self._pieces:
                grown = pa.allocate_buffer(self.size)  # 64-byte aligned, as a mapped file's beginning is
                target = memoryview(grown).cast("B")
                offset = self._frozen.size
                target[:offset] = memoryview(self._frozen).cast("B")
                for piece in self._pieces:
                    target[offset : offset + len(piece)] = piece
                    offset += len(piece)
                self._frozen = grown
                self._pieces = []
            return self._frozen


class MemoryOutputFile:
    """A memory file being written."""

    def __init__(self, file: MemoryFile, name: str) -> None:
        self._file = file
        self.name = name
        self._closed = False

    @property
    def size(self) -> int:
        return self._file.size

    @property
    def closed(self) -> bool:
        return self._closed

    def write(self, data: BytesLike) -> int:
        return self.write_parts((data,))

    def write_parts(self, parts: Sequence[BytesLike]) -> int:
        self._check()
        data = b"".join(parts)
        self._file.append(data)
        return len(data)

    def flush(self) -> None:
        self._check()

    def begin_sync(self) -> None:
        self._check()

    def sync(self) -> None:
        self._check()

    def tell(self) -> int:
        return self._file.size

    def seekable(self) -> bool:
        return False

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        self._closed = True

    def __enter__(self) -> MemoryOutputFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _check(self) -> None:
        if self._closed:
            raise ClosedError(f"{self.name}: the file was closed")


class MemoryWatermark:
    """A watermark shared by the handles of one memory directory."""

    def __init__(self) -> None:
        self._value = 0

    def get(self) -> int:
        return self._value

    def set(self, value: int) -> None:
        if not 0 <= value <= VALUE_MAX:
            raise InvalidArgumentError(f"watermark {value} is not in 0 … 2**48 - 1")
        self._value = value

    def sync(self) -> None:
        """Nothing outlives the process."""

    def close(self) -> None:
        """Other handles go on using it."""


class MemoryDirectory:
    """All files in this process's memory; `folder()` gives views of the same tree."""

    path = None
    read_only = False

    def __init__(self) -> None:
        self._tree = _Tree()
        self._prefix = ""

    def __repr__(self) -> str:
        return f"MemoryDirectory({self._prefix!r})"

    def exists(self, name: str) -> bool:
        return self._at(name) in self._tree.files or self._at(name) in self._tree.folders

    def size(self, name: str) -> int:
        return self._file(name).size

    def list(self, folder: str = "") -> list[str]:
        start = (self._at(folder) if folder else self._prefix[:-1]) + "/"
        start = "" if start == "/" else start
        with self._tree.mutex:
            names = [*self._tree.files, *self._tree.folders]
        return sorted(
            {name[len(start) :].partition("/")[0] for name in names if name.startswith(start) and name != start}
        )

    def read(self, name: str) -> bytes:
        return bytes(self._file(name).content())

    def map(self, name: str) -> pa.Buffer:
        return self._file(name).content()

    def create(self, name: str, *, preallocate: int = 0) -> MemoryOutputFile:
        full = self._at(name)
        with self._tree.mutex:
            if full in self._tree.files or full in self._tree.folders:
                raise AlreadyExistsError(f"{name}: exists already; a published file is never overwritten")
            self._require_folder(full)
            file = self._tree.files[full] = MemoryFile()
        return MemoryOutputFile(file, name)

    def rename(self, old: str, new: str) -> None:
        source, target = self._at(old), self._at(new)
        files, folders = self._tree.files, self._tree.folders
        with self._tree.mutex:
            if source not in files and source not in folders:
                raise NotFoundError(f"{old}: no such file")
            if target in files or target in folders:
                raise AlreadyExistsError(f"{new}: exists already; a published file is never overwritten")
            self._require_folder(target)
            for name in [name for name in files if name == source or name.startswith(source + "/")]:
                files[target + name[len(source) :]] = files.pop(name)
            for name in [name for name in folders if name == source or name.startswith(source + "/")]:
                folders.remove(name)
                folders.add(target + name[len(source) :])

    def unlink(self, name: str) -> None:
        with self._tree.mutex:
            if self._tree.files.pop(self._at(name), None) is None:
                raise NotFoundError(f"{name}: no such file")

    def make_folder(self, name: str) -> None:
        full = self._at(name)
        with self._tree.mutex:
            while full:
                if full in self._tree.files:
                    raise StorageError(f"{name}: a file lies where the folder should be; move it away")
                self._tree.folders.add(full)
                full = parent_of(full)

    def remove_folder(self, name: str) -> None:
        full = self._at(name)
        with self._tree.mutex:
            for file in [file for file in self._tree.files if file.startswith(full + "/")]:
                del self._tree.files[file]
            for mark in [mark for mark in self._tree.watermarks if mark.startswith(full + "/")]:
                del self._tree.watermarks[mark]
            self._tree.folders -= {one for one in self._tree.folders if one == full or one.startswith(full + "/")}

    def sync_folder(self, name: str = "") -> None:
        full = self._at(name) if name else self._prefix[:-1]
        if full and full not in self._tree.folders:
            raise NotFoundError(f"{name}: no such folder")

    def publish(self, name: str, data: BytesLike) -> None:
        publish_file(self, name, data)

    def folder(self, name: str) -> MemoryDirectory:
        below = MemoryDirectory.__new__(MemoryDirectory)
        below._tree = self._tree
        below._prefix = self._at(name) + "/"
        return below

    def lock(self, name: str, *, exclusive: bool) -> Lock:
        return self._tree.locks.take(self._at(name), exclusive)

    def locked(self, name: str) -> bool:
        return self._tree.locks.locked(self._at(name))

    def watermark(self, name: str) -> Watermark:
        with self._tree.mutex:
            return self._tree.watermarks.setdefault(self._at(name), MemoryWatermark())

    def free_bytes(self) -> int:
        return _FREE_BYTES

    def _at(self, name: str) -> str:
        return self._prefix + checked_name(name)

    def _file(self, name: str) -> MemoryFile:
        file = self._tree.files.get(self._at(name))
        if file is None:
            raise NotFoundError(f"{name}: no such file")
        return file

    def _require_folder(self, full: str) -> None:
        folder = parent_of(full)
        if folder and folder not in self._tree.folders:
            raise NotFoundError(f"{full}: no such folder; make_folder({folder!r}) first")


class _Tree:
    """What all views of one memory directory share."""

    def __init__(self) -> None:
        self.files: dict[str, MemoryFile] = {}
        self.folders: set[str] = set()
        self.locks = LockTable()
        self.watermarks: dict[str, MemoryWatermark] = {}
        self.mutex = threading.RLock()
