"""Snapshot place: where does a snapshot lie, and how are its files read and written there?

A place is a folder of this machine, or one of a `pyarrow.fs` file system: s3://, gs://, hdfs://, … A snapshot on this
machine is written beside its place and swapped in by a rename. Object stores cannot rename a folder: there
metadata.parquet, which names all other files with their digests, comes last and replaces the one before it at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import pyarrow as pa

from nearrow.errors import StorageError
from nearrow.storage.manifest import FileEntry
from nearrow.storage.published import Digester


class NewFile(Protocol):
    """A file of a snapshot being written; `pa.PythonFile(file, "w")` makes an Arrow sink of it."""

    def write(self, data: Any) -> int: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...
    @property
    def closed(self) -> bool: ...


class Output(Protocol):
    """A snapshot being written."""

    def create(self, name: str) -> AbstractContextManager[NewFile]: ...
    def reuse(self, name: str, entry: FileEntry, base: Place) -> bool:
        """Take over a file that the snapshot at `base` holds, without writing it again; False if that cannot be done."""

    def finish(self, metadata: bytes, files: Mapping[str, FileEntry]) -> None:
        """Everything is written: from here on it is the snapshot of its place."""


class Place(Protocol):
    """Where a snapshot lies. `where` is what errors call it."""

    where: str

    def has(self, name: str) -> bool: ...
    def is_empty(self) -> bool: ...
    def read(self, name: str) -> pa.Buffer:
        """A whole file; CorruptionError if it is missing, empty or no plain file, NotFoundError without the folder."""

    def writing(self) -> AbstractContextManager[Output]: ...
    def folders(self) -> list[str]:
        """The names of the folders in it, sorted."""

    def below(self, folder: str) -> Place: ...
    def remove(self) -> None:
        """Remove it so that what is left of it meanwhile is no snapshot."""


class DigestedFile:
    """Writes to another file and keeps length and digest."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._digest = Digester()
        self._length = 0

    def write(self, data: Any) -> int:
        self._digest.update(data)
        self._length += len(data)
        self._file.write(data)
        return len(data)

    def flush(self) -> None:
        """The file below is made durable by whoever made it."""

    def close(self) -> None:
        """The file below is closed by whoever made it."""

    @property
    def closed(self) -> bool:
        return False

    @property
    def entry(self) -> FileEntry:
        return FileEntry(self._length, self._digest.hexdigest())


@contextmanager
def storage_errors(what: str, where: str) -> Iterator[None]:
    """What a file system of pyarrow raises becomes a StorageError that names the place."""
    try:
        yield
    except StorageError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise StorageError(f"could not {what} {where}: {error}") from error
