"""Disk calls: which call to the operating system fails, and how?

Storage is the only door to the disk and goes through Python's `os`; so what changes the disk can be counted and struck
there, in the process under test, on a real file system. `crash_strace` shows that nothing goes past it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

KINDS = ("open", "pwritev", "pwrite", "fsync", "fdatasync", "rename", "unlink", "mkdir", "rmdir", "ftruncate")
"""`os.open` counts where it may create a file."""

WRITES = ("pwritev", "pwrite")
FAULTS = ("kill", "torn", "EIO", "ENOSPC", "short")
"""kill: dies before the call · torn: dies with half of the bytes written · EIO, ENOSPC: the call fails, nothing is done ·
short: half of the bytes are written, and the call says so."""

DEADLY = ("kill", "torn")

_pwrite = getattr(os, "pwrite", None)  # the real one, whatever is installed
_ERRORS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC}


def applies(fault: str, kind: str) -> bool:
    """Whether a call of this kind can go wrong in this way."""
    if fault in ("torn", "short"):
        return kind in WRITES
    return fault != "ENOSPC" or kind not in ("unlink", "rmdir")  # these need no space


class DiskCalls:
    """Counts the calls of this process that change the disk, and strikes one of them. For a process that ends soon."""

    def __init__(self, strike_at: int = 0, fault: str = "kill") -> None:
        """`strike_at`: the number of the call, from 1; 0 strikes none."""
        self.kinds: list[str] = []
        self.fired = False
        self._strike_at = strike_at
        self._fault = fault

    @contextlib.contextmanager
    def installed(self) -> Iterator[DiskCalls]:
        """Inside, the calls of this process are counted and struck."""
        whole = {kind: getattr(os, kind) for kind in KINDS if hasattr(os, kind)}
        for kind, call in whole.items():
            setattr(os, kind, self._counted(kind, call))
        try:
            yield self
        finally:
            for kind, call in whole.items():
                setattr(os, kind, call)

    def _counted(self, kind: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            if kind == "open" and not arguments[1] & os.O_CREAT:
                return call(*arguments, **options)
            self.kinds.append(kind)
            if len(self.kinds) != self._strike_at:
                return call(*arguments, **options)
            self.fired = True
            return self._strike(kind, call, arguments, options)

        return counted

    def _strike(self, kind: str, call: Callable[..., Any], arguments: Any, options: Any) -> Any:
        if self._fault in _ERRORS:
            raise OSError(_ERRORS[self._fault], os.strerror(_ERRORS[self._fault]))
        written = _write_half(kind, arguments) if self._fault in ("torn", "short") else 0
        if self._fault != "short":
            os.kill(os.getpid(), signal.SIGKILL)
        return written


def _write_half(kind: str, arguments: Any) -> int:
    descriptor, data, offset = arguments
    assert _pwrite is not None
    whole = b"".join(data) if kind == "pwritev" else bytes(data)
    written: int = _pwrite(descriptor, whole[: len(whole) // 2], offset)
    return written
