"""Children: how is code run in a process that may be killed at any moment?

A child is a fork of this process, which has everything imported already, so it starts in milliseconds and thousands of
kills are cheap. What a child reports can be read after its death, too. Whoever forks must not run threads of its own: a
campaign opens databases in children only, also to check them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Report = Callable[[str], None]
Task = Callable[[Report], None]

SECONDS_MAX = 1800  # of the clock: a busy machine, or who measures on it, may stop a child for minutes again and again
_REPORT, _FAILURE = b"=", b"!"


@dataclass(frozen=True)
class Ending:
    """How a child ended: what it reported, the signal that ended it (0: none), and the error that it died of ("": none)."""

    reports: list[str]
    signal: int
    error: str

    @property
    def killed(self) -> bool:
        return self.signal == signal.SIGKILL

    def expect(self, *, killed: bool = False) -> Ending:
        """Itself; AssertionError unless the child ended well, or by kill -9 where that is expected."""
        assert not self.error, self.error
        assert self.signal == 0 or (killed and self.killed), f"the child died of signal {self.signal} by itself"
        return self


class Child:
    """A fork of this process that does one task and ends."""

    def __init__(self, task: Task, *, seconds_max: int = SECONDS_MAX) -> None:
        """A child that hangs is ended after `seconds_max` by SIGALRM, which `Ending.expect` does not forgive."""
        read_end, write_end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(read_end)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)  # whatever the parent does with it
            signal.alarm(seconds_max)
            os._exit(_do(task, write_end))
        os.close(write_end)
        self._lines = os.fdopen(read_end, "rb")
        self._reports: list[str] = []
        self._error = ""
        self._reaped = False

    def report(self) -> str | None:
        """The next report, when it comes; None when there are no more."""
        for line in self._lines:
            if not line.endswith(b"\n"):
                break
            text = line[1:-1].decode("unicode_escape")
            if line.startswith(_REPORT):
                self._reports.append(text)
                return text
            self._error = text
        return None

    def kill(self) -> None:
        """kill -9; nothing happens to a child that is dead already."""
        if not self._reaped:
            os.kill(self.pid, signal.SIGKILL)

    def end(self) -> Ending:
        """Wait until the child is gone."""
        while self.report() is not None:
            continue
        self._lines.close()
        _, status = os.waitpid(self.pid, 0)
        self._reaped = True
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        return Ending(self._reports, number, self._error)


def run_child(task: Task) -> Ending:
    """Do a task in a child and wait for its end."""
    return Child(task).end()


@contextlib.contextmanager
def killed_at_the_end(child: Child) -> Iterator[Child]:
    """Whatever happens inside, the child is gone afterwards."""
    try:
        yield child
    finally:
        if not child._reaped:
            child.kill()
            child.end()


def _do(task: Task, write_end: int) -> int:
    """What the child does; its exit code."""

    def send(kind: bytes, text: str) -> None:
        os.write(write_end, kind + text.encode("unicode_escape") + b"\n")

    try:
        task(lambda text: send(_REPORT, text))
    except BaseException:
        send(_FAILURE, traceback.format_exc())
        return 1
    return 0
