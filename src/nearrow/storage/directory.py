"""Directory: where is the data stored, and what may be done to it?

Names are relative POSIX paths made by Nearrow, never text of the user. A file is written once, from its beginning to
its end, and after that only read, renamed and unlinked. `nearrow.testing.directory_suite` says what each
implementation must do; local, memory and fault-injecting directories pass it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, TypeAlias

import pyarrow as pa

from nearrow.errors import InvalidArgumentError

BytesLike: TypeAlias = bytes | bytearray | memoryview | pa.Buffer

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(/[A-Za-z0-9_][A-Za-z0-9_.\-]*)*")
TEMPORARY_SUFFIX = ".tmp"


def checked_name(name: str) -> str:
    """`name`, if it is a relative path of plain parts that cannot leave the directory."""
    if _NAME.fullmatch(name) is None:
        raise InvalidArgumentError(f"{name!r} is not a storage name; names are generated: letters, digits, _ - . and /")
    return name


class OutputFile(Protocol):
    """A file being written, append-only; usable as an Arrow sink through `pa.PythonFile(file, "w")`."""

    name: str  # what errors call it; whoever renames the file while it is open may change it

    @property
    def size(self) -> int: ...
    @property
    def closed(self) -> bool: ...
    def write(self, data: BytesLike) -> int:
        """Hands all bytes to the OS (not yet durable); StorageError otherwise, and then a prefix may be written."""

    def write_parts(self, parts: Sequence[BytesLike]) -> int:
        """Appends several buffers by one system call where the OS allows it."""

    def flush(self) -> None: ...
    def begin_sync(self) -> None:
        """Sends what was written on its way to the disk and does not wait for it, so that a `sync` has less to do."""

    def sync(self) -> None:
        """Makes the data durable (fdatasync). After a failure nothing may be assumed of the unsynced bytes."""

    def tell(self) -> int: ...
    def close(self) -> None: ...
    def __enter__(self) -> OutputFile: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class Lock(Protocol):
    """A held lock; released by `release()`, by leaving the context, or by the death of the process."""

    @property
    def held(self) -> bool: ...
    def check(self) -> None:
        """ClosedError if released, or if this is a forked child of the holder."""

    def release(self) -> None: ...
    def __enter__(self) -> Lock: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class Watermark(Protocol):
    """A u64 (below 2**48) shared by all processes that opened it; 0 = unknown. A lower bound after a power loss."""

    def get(self) -> int: ...
    def set(self, value: int) -> None: ...
    def sync(self) -> None:
        """Makes the value durable (at a clean close)."""

    def close(self) -> None: ...


class Directory(Protocol):
    """The only door to the disk. Thread-safe, except that one OutputFile belongs to one thread at a time."""

    @property
    def path(self) -> str | None:
        """The real path, or None if there is none (memory)."""

    @property
    def read_only(self) -> bool: ...

    def exists(self, name: str) -> bool: ...
    def size(self, name: str) -> int:
        """Bytes of the file; NotFoundError if missing."""

    def list(self, folder: str = "") -> list[str]:
        """Sorted names of the entries of a folder; [] if there is no such folder."""

    def read(self, name: str) -> bytes: ...
    def map(self, name: str) -> pa.Buffer:
        """The file's bytes as they are now, mapped read-only; valid after unlink. NotFoundError if missing."""

    def create(self, name: str, *, preallocate: int = 0) -> OutputFile:
        """A new file; AlreadyExistsError if the name is taken, NotFoundError if its folder is missing.

        `preallocate` > 0: zeros are kept ahead of the written bytes in steps of so many, so that a sync seldom has to
        change the file's length. A reader may then see zeros after the last byte written.
        """

    def rename(self, old: str, new: str) -> None:
        """Atomic; refuses with AlreadyExistsError to replace a file."""

    def unlink(self, name: str) -> None: ...
    def make_folder(self, name: str) -> None:
        """Makes it, and its parents, durably. Each parent is synced, even if the folder exists: who made it may not have
        come so far."""

    def remove_folder(self, name: str) -> None:
        """Removes it with all that is in it; nothing happens if it does not exist."""

    def sync_folder(self, name: str = "") -> None:
        """Makes the entries (creations, renames, unlinks) of the folder durable."""

    def publish(self, name: str, data: BytesLike) -> None:
        """Temporary file → fsync → rename → fsync of the folder: whole and durable, or absent."""

    def folder(self, name: str) -> Directory:
        """The directory below this one (it need not exist yet; `make_folder` on this one makes it)."""

    def lock(self, name: str, *, exclusive: bool) -> Lock:
        """Takes the lock at once, or LockedError. The lock file is made if missing and never deleted."""

    def locked(self, name: str) -> bool:
        """Whether anyone holds the lock exclusively right now (asks, takes nothing)."""

    def watermark(self, name: str) -> Watermark: ...
    def free_bytes(self) -> int: ...


def parent_of(name: str) -> str:
    """The folder that holds `name` ("" = the directory itself)."""
    return name.rpartition("/")[0]


def publish_file(directory: Directory, name: str, data: BytesLike) -> None:
    """What every `publish` does (rule 1)."""
    temporary = name + TEMPORARY_SUFFIX
    if directory.exists(temporary):  # left by a crash; it was never published
        directory.unlink(temporary)
    with directory.create(temporary) as file:
        file.write(data)
        file.sync()
    directory.rename(temporary, name)
    directory.sync_folder(parent_of(name))
