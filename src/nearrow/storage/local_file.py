"""Local output file: how are bytes appended to a file of the file system?"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import TracebackType

from nearrow.errors import ClosedError
from nearrow.storage.directory import BytesLike
from nearrow.storage.os_errors import translated, typed_error

if sys.platform == "darwin":
    import fcntl

_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_WRITE_BACK_BYTES = (
    32 << 20
)  # a big file is synced as it grows, so that a small fsync beside it need not wait for it all
_PARTS_MAX = 1000  # the OS takes IOV_MAX = 1024 at most


def _sync_data(descriptor: int) -> None:
    """fdatasync covers the length of the file too; macOS needs F_FULLFSYNC to reach the platter."""
    if sys.platform == "darwin":
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    elif hasattr(os, "fdatasync"):
        os.fdatasync(descriptor)
    else:
        os.fsync(descriptor)


class LocalOutputFile:
    """A new file, written at its end; positional writes, so preallocated zeros ahead of the end are overwritten."""

    def __init__(self, path: str, name: str, preallocate: int) -> None:
        self.name = name
        self._pid = os.getpid()
        self._preallocate = preallocate
        self._allocated = 0
        self._size = 0
        self._unsynced = 0
        self._begun = 0
        self._descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _CLOEXEC | _BINARY, 0o644)

    @property
    def size(self) -> int:
        return self._size

    @property
    def closed(self) -> bool:
        return self._descriptor < 0

    def write(self, data: BytesLike) -> int:
        return self.write_parts((data,))

    def write_parts(self, parts: Sequence[BytesLike]) -> int:
        self._check()
        if len(parts) > _PARTS_MAX:
            parts = (b"".join(parts),)
        total = sum(memoryview(part).nbytes for part in parts)
        if (
            self._size + total > self._allocated and 0 < total <= self._preallocate // 4
        ):  # a big one is not written twice
            self._extend(self._size + total)
        try:
            written = os.pwritev(self._descriptor, parts, self._size) if hasattr(os, "pwritev") else 0
            if written != total:  # a short write (or no pwritev): the rest, piece by piece
                self._write_rest(b"".join(bytes(part) for part in parts)[written:], self._size + written)
        except OSError as error:
            raise typed_error(error, "write", self.name) from error
        self._size += total
        self._unsynced += total
        if self._unsynced >= _WRITE_BACK_BYTES:
            self.sync()
        return total

    def flush(self) -> None:
        self._check()

    def begin_sync(self) -> None:
        self._check()
        if self._size > self._begun and hasattr(
            os, "posix_fadvise"
        ):  # on Linux this begins to write the pages; those being written stay cached
            with translated("begin to sync", self.name):
                os.posix_fadvise(self._descriptor, self._begun, self._size - self._begun, os.POSIX_FADV_DONTNEED)
            self._begun = self._size

    def sync(self) -> None:
        self._check()
        try:
            _sync_data(self._descriptor)
        except OSError as error:
            raise typed_error(error, "fsync", self.name) from error
        self._unsynced = 0
        self._begun = self._size

    def tell(self) -> int:
        return self._size

    def seekable(self) -> bool:
        return False

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            with translated("close", self.name):
                os.close(descriptor)

    def __enter__(self) -> LocalOutputFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_descriptor", -1) >= 0:
            os.close(self._descriptor)

    def _check(self) -> None:
        if self._descriptor < 0:
            raise ClosedError(f"{self.name}: the file was closed")
        if self._pid != os.getpid():
            raise ClosedError(f"{self.name}: this file belongs to the parent of a forked process; connect again here")

    def _extend(self, needed: int) -> None:
        """Zeros in the file ahead of the end, so that the next syncs need not change its length."""
        end = -(-needed // self._preallocate) * self._preallocate
        start = max(self._allocated, self._size)
        with translated("preallocate", self.name):
            self._write_rest(bytes(end - start), start)
        self._allocated = end

    def _write_rest(self, data: bytes, offset: int) -> None:
        view = memoryview(data)
        while view:
            if hasattr(os, "pwrite"):
                written = os.pwrite(self._descriptor, view, offset)
            else:
                os.lseek(self._descriptor, offset, os.SEEK_SET)
                written = os.write(self._descriptor, view)
            view = view[written:]
            offset += written
