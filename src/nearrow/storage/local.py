"""LocalDirectory: how does a directory of the file system keep the data?"""

from __future__ import annotations

import errno
import os
import shutil
import sys
from types import TracebackType

import pyarrow as pa

from nearrow.errors import AlreadyExistsError, LockedError, NotFoundError, ReadOnlyError
from nearrow.storage.directory import BytesLike, Lock, Watermark, checked_name, publish_file
from nearrow.storage.local_file import LocalOutputFile
from nearrow.storage.lock import FileLock, is_locked
from nearrow.storage.os_errors import translated, typed_error
from nearrow.storage.watermark import MappedWatermark

_CLOEXEC = getattr(os, "O_CLOEXEC", 0)


class LocalDirectory:
    """A folder of the file system. `read_only` creates nothing, not even lock files: read-only mounts work."""

    def __init__(self, path: str | os.PathLike[str], *, read_only: bool = False, create: bool = True) -> None:
        """NotFoundError if the folder is missing and may not be made."""
        self._path = os.path.abspath(os.fspath(path))
        self._read_only = read_only
        missing = not os.path.isdir(self._path)
        if missing and (read_only or not create):
            raise NotFoundError(f"{self._path}: no such directory; open it for writing once to create it")
        if not read_only:
            with translated("create the directory", self._path):
                _make_folders(self._path)

    @property
    def path(self) -> str | None:
        return self._path

    @property
    def read_only(self) -> bool:
        return self._read_only

    def __repr__(self) -> str:
        return f"LocalDirectory({self._path!r}, read_only={self._read_only})"

    def exists(self, name: str) -> bool:
        return os.path.exists(self._at(name))

    def size(self, name: str) -> int:
        with translated("stat", name):
            return os.stat(self._at(name)).st_size

    def list(self, folder: str = "") -> list[str]:
        try:
            with translated("list", folder):
                return sorted(os.listdir(self._at(folder) if folder else self._path))
        except NotFoundError:
            return []

    def read(self, name: str) -> bytes:
        with translated("read", name), open(self._at(name), "rb") as file:
            return file.read()

    def map(self, name: str) -> pa.Buffer:
        with translated("map", name):
            return pa.memory_map(self._at(name), "r").read_buffer()

    def create(self, name: str, *, preallocate: int = 0) -> LocalOutputFile:
        with translated("create", name):
            return LocalOutputFile(self._writable(name), name, preallocate)

    def rename(self, old: str, new: str) -> None:
        target = self._writable(new)
        if os.path.lexists(target):
            raise AlreadyExistsError(f"{new}: exists already; a published file is never overwritten")
        with translated("rename", old):
            os.rename(self._at(old), target)

    def unlink(self, name: str) -> None:
        with translated("unlink", name):
            os.unlink(self._writable(name))

    def make_folder(self, name: str) -> None:
        parts = self._writable(name)[len(self._path) + 1 :].split("/")
        with translated("make the folder", name):
            for depth in range(len(parts)):
                _make_folder("/".join([self._path, *parts[: depth + 1]]))

    def remove_folder(self, name: str) -> None:
        path = self._writable(name)
        if os.path.isdir(path):
            with translated("remove the folder", name):
                shutil.rmtree(path)

    def sync_folder(self, name: str = "") -> None:
        path = self._writable(name) if name else self._path
        with translated("fsync the folder", name):
            _sync_folder(path)

    def publish(self, name: str, data: BytesLike) -> None:
        publish_file(self, name, data)

    def folder(self, name: str) -> LocalDirectory:
        below = LocalDirectory.__new__(LocalDirectory)
        below._path = self._at(name)
        below._read_only = self._read_only
        return below

    def lock(self, name: str, *, exclusive: bool) -> Lock:
        path = self._at(name)
        if exclusive:
            self._writable(name)
        try:
            if self._read_only and not os.path.exists(path):
                return NoLock(name)  # nothing to lock and nothing may be made: nobody writes here, or not yet
            return FileLock(path, name, exclusive=exclusive)
        except LockedError:
            raise
        except OSError as error:
            if self._read_only:  # a read-only mount, or one without locks: no writer can collect files through it
                return NoLock(name)
            raise typed_error(error, "lock", name) from error

    def locked(self, name: str) -> bool:
        return is_locked(self._at(name))

    def watermark(self, name: str) -> Watermark:
        with translated("open the watermark", name):
            return MappedWatermark(self._at(name), read_only=self._read_only)

    def free_bytes(self) -> int:
        with translated("measure free space", ""):
            return shutil.disk_usage(self._path).free

    def _at(self, name: str) -> str:
        return f"{self._path}/{checked_name(name)}"

    def _writable(self, name: str) -> str:
        if self._read_only:
            raise ReadOnlyError(f"{name}: the database was opened read-only; open it without read_only to write")
        return self._at(name)


class NoLock:
    """What a reader holds where no lock can be taken."""

    held = True

    def __init__(self, name: str) -> None:
        self.name = name

    def check(self) -> None:
        """Always valid: it protects nothing."""

    def release(self) -> None:
        """Nothing to release."""

    def __enter__(self) -> NoLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def _make_folders(path: str) -> None:
    """Like makedirs, but each new entry is made durable in its parent (rule 1)."""
    parent = os.path.dirname(path)
    if not os.path.isdir(parent):
        _make_folders(parent)
    try:
        _make_folder(path)
    except PermissionError:
        if not os.path.isdir(path):  # one that someone else made below a folder that we may not open is theirs to sync
            raise


def _make_folder(path: str) -> None:
    """Durable even if it exists: who made it may have died, or failed, before it was synced."""
    try:
        os.mkdir(path)
    except FileExistsError as error:
        if not os.path.isdir(path):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path) from error
    _sync_folder(os.path.dirname(path))


def _sync_folder(path: str) -> None:
    if sys.platform == "win32":
        return  # folders cannot be opened there; NTFS journals its entries
    descriptor = os.open(path, os.O_RDONLY | _CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


__all__ = ["LocalDirectory", "LocalOutputFile"]
