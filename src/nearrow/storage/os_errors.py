"""OS errors: how does an errno become an error that tells the user what to do?"""

from __future__ import annotations

import errno
from types import TracebackType

from nearrow.errors import AlreadyExistsError, NearrowError, NotFoundError, ReadOnlyError, StorageError

_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space and reopen",
    errno.EDQUOT: "the disk quota is used up; free some space and reopen",
    errno.EIO: "the device reported an I/O error; check the disk (dmesg), reopen, and run check()",
    errno.EMFILE: "too many open files; close some collections or raise `ulimit -n`",
    errno.ENFILE: "the system has too many open files; close some programs",
    errno.EACCES: "permission denied; check the owner and mode of the directory",
    errno.EPERM: "not permitted; check the owner and mode of the directory",
    errno.ENOTDIR: "a part of the path is not a directory",
    errno.EISDIR: "a directory lies where a file should be",
    errno.ENAMETOOLONG: "the path is too long; use a shorter directory",
}


def typed_error(error: OSError, doing: str, name: str) -> NearrowError:
    """The Nearrow error for `error`, raised while `doing` something to `name`."""
    what = f"{name or '.'}: cannot {doing}: {error.strerror or error}"
    if error.errno == errno.ENOENT:
        return NotFoundError(f"{what}; the file is missing: run check(), then restore a snapshot")
    if error.errno == errno.EEXIST:
        return AlreadyExistsError(f"{what}; a published file is never overwritten")
    if error.errno == errno.EROFS:
        return ReadOnlyError(f"{what}; open it with read_only=True")
    typed = StorageError(f"{what}; {_ADVICE.get(error.errno or 0, 'check the disk and reopen')}")
    typed.errno = error.errno
    return typed


class translated:  # noqa: N801  (reads as a verb at the call: `with translated("read", name):`)
    """Context manager that turns an OSError into the typed error; a class, as it is on hot paths."""

    __slots__ = ("_doing", "_name")

    def __init__(self, doing: str, name: str) -> None:
        self._doing = doing
        self._name = name

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, OSError) and not isinstance(error, NearrowError):
            raise typed_error(error, self._doing, self._name) from error
