"""Snapshot, remote: how does a snapshot lie in an object store, or any other file system of pyarrow?

What is read is fetched into a temporary file first, and mapped: Parquet is read in many small pieces.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from uuid import uuid4

import pyarrow as pa
from pyarrow import fs

from nearrow.analytics.snapshot_metadata import METADATA_FILE
from nearrow.analytics.snapshot_place import DigestedFile, NewFile, Place, storage_errors
from nearrow.errors import CorruptionError, NotFoundError
from nearrow.storage.manifest import FileEntry

PIECE_BYTES = 8 << 20
OBJECT_STORES = ("s3", "gcs", "abfs")
"""Here an object appears when all of it is there, and replaces the one before it at once."""


class RemotePlace:
    """A folder of a file system of pyarrow."""

    def __init__(self, filesystem: fs.FileSystem, path: str, where: str) -> None:
        self.filesystem = filesystem
        self.path = path
        self.where = where

    def has(self, name: str) -> bool:
        return self.length(name) is not None

    def length(self, name: str) -> int | None:
        """Bytes of a file; None if there is none."""
        with storage_errors("look into", self.where):
            info = self.filesystem.get_file_info(self.at(name))
        return info.size if info.type == fs.FileType.File else None

    def is_empty(self) -> bool:
        return not self._inside(recursive=False)

    def read(self, name: str) -> pa.Buffer:
        if self.length(name) is None:
            if self.is_empty():
                raise NotFoundError(f"{self.where}: nothing is there, so no snapshot")
            raise CorruptionError(f"{self.where}/{name}: missing; this is not a whole snapshot")
        with storage_errors("read", f"{self.where}/{name}"), tempfile.TemporaryFile() as local:
            with self.filesystem.open_input_stream(self.at(name)) as source:
                while piece := source.read(PIECE_BYTES):
                    local.write(piece)
            local.flush()
            if local.tell() == 0:
                raise CorruptionError(f"{self.where}/{name}: empty; this is not a whole snapshot")
            return pa.py_buffer(mmap.mmap(local.fileno(), 0, access=mmap.ACCESS_READ))

    @contextmanager
    def writing(self) -> Iterator[RemoteOutput]:
        output = RemoteOutput(self)
        try:
            yield output
        except BaseException:
            output.withdraw()
            raise

    def folders(self) -> list[str]:
        found = self._inside(recursive=False)
        return sorted(info.base_name for info in found if info.type == fs.FileType.Directory)

    def below(self, folder: str) -> RemotePlace:
        return RemotePlace(self.filesystem, self.at(folder), f"{self.where}/{folder}")

    def remove(self) -> None:
        with storage_errors("remove", self.where):
            self.filesystem.delete_file(self.at(METADATA_FILE))
            self.filesystem.delete_dir(self.path)

    def files(self) -> set[str]:
        """The names of all files in it."""
        found = self._inside(recursive=True)
        return {info.path[len(self.path) + 1 :] for info in found if info.type == fs.FileType.File}

    def _inside(self, *, recursive: bool) -> list[fs.FileInfo]:
        with storage_errors("list", self.where):
            selector = fs.FileSelector(self.path, allow_not_found=True, recursive=recursive)
            found: list[fs.FileInfo] = self.filesystem.get_file_info(selector)
            return found

    def at(self, name: str) -> str:
        return f"{self.path}/{name}"


class RemoteOutput:
    """A snapshot being written into its place, under names that no other snapshot there has."""

    def __init__(self, place: RemotePlace) -> None:
        self._place = place
        self._made: list[str] = []

    @contextmanager
    def create(self, name: str) -> Iterator[NewFile]:
        filesystem, path = self._place.filesystem, self._place.at(name)
        self._made.append(name)
        with storage_errors("write", f"{self._place.where}/{name}"):
            self._make_folder_of(path)
            with filesystem.open_output_stream(path) as stream:
                yield DigestedFile(stream)

    def reuse(self, name: str, entry: FileEntry, base: Place) -> bool:
        if not isinstance(base, RemotePlace) or base.length(name) != entry.length:
            return False
        if base.where == self._place.where:
            return True
        if base.filesystem != self._place.filesystem:
            return False
        self._made.append(name)
        with storage_errors("copy", f"{base.where}/{name}"):  # within the store: nothing passes through this machine
            self._make_folder_of(self._place.at(name))
            self._place.filesystem.copy_file(base.at(name), self._place.at(name))
        return True

    def finish(self, metadata: bytes, files: Mapping[str, FileEntry]) -> None:
        filesystem, path = self._place.filesystem, self._place.at(METADATA_FILE)
        with storage_errors("write", f"{self._place.where}/{METADATA_FILE}"):
            at_once = filesystem.type_name in OBJECT_STORES
            first = path if at_once else f"{path}-{uuid4().hex}.tmp"
            with filesystem.open_output_stream(first) as stream:
                stream.write(metadata)
            if not at_once:
                filesystem.move(first, path)
        self._made = []
        for name in self._place.files() - set(files) - {METADATA_FILE}:  # of the snapshot before
            filesystem.delete_file(self._place.at(name))

    def _make_folder_of(self, path: str) -> None:
        if self._place.filesystem.type_name not in OBJECT_STORES:  # which have no folders
            self._place.filesystem.create_dir(path.rpartition("/")[0], recursive=True)

    def withdraw(self) -> None:
        """Remove what was written for a snapshot that failed; the one before it, if any, is as it was."""
        with storage_errors("clean up", self._place.where):
            for name in self._made:
                if self._place.has(name):
                    self._place.filesystem.delete_file(self._place.at(name))
