"""Snapshot, local: how does a folder of this machine become a snapshot, and another one in its place, at once?"""

from __future__ import annotations

import ctypes
import mmap
import os
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from uuid import uuid4

import pyarrow as pa

from nearrow.analytics.snapshot_metadata import METADATA_FILE
from nearrow.analytics.snapshot_place import DigestedFile, NewFile, Place
from nearrow.errors import AlreadyExistsError, CorruptionError, NotFoundError
from nearrow.storage.directory import Directory
from nearrow.storage.local import LocalDirectory
from nearrow.storage.manifest import FileEntry
from nearrow.storage.os_errors import translated

RENAME_EXCHANGE = 2
AT_FDCWD = -100


class LocalPlace:
    """A folder of this machine."""

    def __init__(self, path: str) -> None:
        self.where = path

    def has(self, name: str) -> bool:
        return os.path.lexists(self._at(name))

    def is_empty(self) -> bool:
        if not os.path.lexists(self.where):
            return True
        return os.path.isdir(self.where) and not os.path.islink(self.where) and not os.listdir(self.where)

    def read(self, name: str) -> pa.Buffer:
        path = self._at(name)
        if not os.path.isdir(self.where):
            raise NotFoundError(f"{self.where}: no such directory, so no snapshot")
        self._refuse_links(name)
        with translated("open", path):
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0))
        try:
            if os.fstat(descriptor).st_size == 0:
                raise CorruptionError(f"{path}: empty; this is not a whole snapshot")
            with translated("map", path):
                return pa.py_buffer(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))
        finally:
            os.close(descriptor)

    def _refuse_links(self, name: str) -> None:
        """Every step from the snapshot's folder to the file is a plain one, for a link leads elsewhere."""
        steps = name.split("/")
        for depth in range(1, len(steps) + 1):
            path = self._at("/".join(steps[:depth]))
            if not os.path.lexists(path):
                raise CorruptionError(f"{self._at(name)}: missing; this is not a whole snapshot")
            kind, wanted = os.lstat(path).st_mode, stat.S_ISREG if depth == len(steps) else stat.S_ISDIR
            if not wanted(kind):
                raise CorruptionError(f"{self._at(name)}: not a plain file; a snapshot has no links in it")

    @contextmanager
    def writing(self) -> Iterator[LocalOutput]:
        parent = LocalDirectory(os.path.dirname(self.where))
        folder = f"snapshot-{uuid4().hex}.tmp"
        parent.make_folder(folder)
        try:
            yield LocalOutput(parent, folder, self.where)
        finally:
            parent.remove_folder(folder)  # gone if it was renamed; else what failed, or what was there before

    def folders(self) -> list[str]:
        if not os.path.isdir(self.where):
            return []
        return sorted(name for name in os.listdir(self.where) if os.path.isdir(self._at(name)))

    def below(self, folder: str) -> LocalPlace:
        return LocalPlace(self._at(folder))

    def remove(self) -> None:
        hidden = f"{self.where}-{uuid4().hex}.tmp"
        with translated("remove the snapshot", self.where):
            os.rename(self.where, hidden)
            shutil.rmtree(hidden)

    def _at(self, name: str) -> str:
        return f"{self.where}/{name}"


class LocalOutput:
    """A snapshot in a folder with a temporary name beside its place."""

    def __init__(self, parent: Directory, folder: str, target: str) -> None:
        self._parent = parent
        self._folder = folder
        self._target = target
        self._made: set[str] = set()

    @contextmanager
    def create(self, name: str) -> Iterator[NewFile]:
        self._make_folder_of(name)
        with self._parent.create(f"{self._folder}/{name}") as file:
            yield DigestedFile(file)
            file.sync()

    def reuse(self, name: str, entry: FileEntry, base: Place) -> bool:
        source = f"{base.where}/{name}"
        if not isinstance(base, LocalPlace) or os.path.islink(source) or not os.path.isfile(source):
            return False
        if os.path.getsize(source) != entry.length:
            return False
        self._make_folder_of(name)
        try:
            os.link(source, self._at(name))
        except OSError:  # another file system, or one without links: written anew
            return False
        return True

    def finish(self, metadata: bytes, files: Mapping[str, FileEntry]) -> None:
        with self.create(METADATA_FILE) as file:
            file.write(metadata)
        for folder in (*self._made, ""):
            self._parent.sync_folder(f"{self._folder}/{folder}" if folder else self._folder)
        with translated("rename the snapshot", self._target):
            _put(self._at(""), self._target)
        self._parent.sync_folder()

    def _make_folder_of(self, name: str) -> None:
        folder = name.rpartition("/")[0]
        if folder and folder not in self._made:
            self._parent.make_folder(f"{self._folder}/{folder}")
            self._made.add(folder)

    def _at(self, name: str) -> str:
        return f"{self._parent.path}/{self._folder}" + (f"/{name}" if name else "")


def _put(new: str, target: str) -> None:
    """`new` becomes `target`; a snapshot that was there is then where `new` was, to be removed."""
    if not os.path.lexists(f"{target}/{METADATA_FILE}"):
        if os.path.lexists(target) and not LocalPlace(target).is_empty():
            raise AlreadyExistsError(f"{target} exists; a snapshot goes into a new directory")
        os.rename(new, target)
    elif not _exchange(new, target):
        aside = f"{new}-before.tmp"
        os.rename(target, aside)  # where names cannot be exchanged there is a moment without a snapshot
        os.rename(new, target)
        os.rename(aside, new)


def _exchange(one: str, other: str) -> bool:
    """Swap two names at once, where the system can."""
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return rename is not None and rename(AT_FDCWD, one.encode(), AT_FDCWD, other.encode(), RENAME_EXCHANGE) == 0
