"""Locks: who may write, and which files may not be collected now?

Open-file-description locks (Linux) or flock (other POSIX) on files that are never deleted. The kernel frees them when
the process dies, so a crash leaves nothing stale. They are O_CLOEXEC, and a forked child loses its copy: it closes its
descriptor, which does not release the parent's lock.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
import weakref
from types import TracebackType

from nearrow.errors import ClosedError, LockedError
from nearrow.storage.os_errors import typed_error

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_FLOCK = struct.Struct("hhqqi4x")  # struct flock of 64-bit Linux: type, whence, start, length, pid
_BUSY = (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK)
_open_locks: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _uses_ofd() -> bool:
    return sys.platform == "linux" and sys.maxsize > 2**32 and hasattr(fcntl, "F_OFD_SETLK")


class FileLock:
    """A lock on a local file. Thread-safe for `check` and `held`; release it from one thread."""

    def __init__(self, path: str, name: str, *, exclusive: bool) -> None:
        """Raises LockedError at once if another holder is in the way, OSError if the file cannot be opened."""
        self.name = name
        self.exclusive = exclusive
        self._pid = os.getpid()
        flags = os.O_CLOEXEC if hasattr(os, "O_CLOEXEC") else 0
        self._descriptor = -1
        try:
            self._descriptor = os.open(path, flags | os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            if exclusive or error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
                raise
            self._descriptor = os.open(path, flags | os.O_RDONLY)  # a shared lock needs no more than this
        try:
            _take(self._descriptor, exclusive)
        except OSError as error:
            os.close(self._descriptor)
            self._descriptor = -1
            if error.errno in _BUSY:
                raise LockedError(
                    f"{path}: held by another {'process or handle' if exclusive else 'writer'}; "
                    "close it, or open the database with read_only=True"
                ) from error
            raise typed_error(error, "lock", name) from error
        _open_locks.add(self)

    @property
    def held(self) -> bool:
        return self._descriptor >= 0 and self._pid == os.getpid()

    def check(self) -> None:
        if self._pid != os.getpid():
            raise ClosedError(f"{self.name}: this handle belongs to the parent of a forked process; connect again here")
        if self._descriptor < 0:
            raise ClosedError(f"{self.name}: the lock was released; connect again")

    def release(self) -> None:
        if not self.held:
            return
        descriptor, self._descriptor = self._descriptor, -1
        try:
            _free(descriptor)  # explicitly: a child forked meanwhile still shares this open file
        finally:
            os.close(descriptor)

    def _forget_in_child(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def __del__(self) -> None:
        if getattr(self, "_descriptor", -1) >= 0:
            self.release()


def is_locked(path: str) -> bool:
    """Whether anyone holds `path` exclusively; False if there is no such file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return False
    try:
        if _uses_ofd():
            asked = _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
            answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, asked)
            return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)
        try:
            _take(descriptor, False)
        except OSError:
            return True
        _free(descriptor)
        return False
    finally:
        os.close(descriptor)


if sys.platform == "win32":

    def _take(descriptor: int, exclusive: bool) -> None:
        # msvcrt knows only exclusive locks: a reader's lease then excludes other readers' for a moment
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _free(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:

    def _take(descriptor: int, exclusive: bool) -> None:
        if _uses_ofd():
            kind = fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, 0, 0, 0))
        else:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)

    def _free(descriptor: int) -> None:
        if _uses_ofd():
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, 0, 0, 0))
        else:
            fcntl.flock(descriptor, fcntl.LOCK_UN)


def _forget_locks_in_child() -> None:
    for lock in list(_open_locks):
        lock._forget_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_locks_in_child)
