"""Lock table: who holds which lock, for directories that live within one process?"""

from __future__ import annotations

import os
import threading
from types import TracebackType

from nearrow.errors import ClosedError, LockedError


class LockTable:
    """Which names are locked, within one process."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._holders: dict[str, list[TableLock]] = {}

    def take(self, name: str, exclusive: bool) -> TableLock:
        with self._mutex:
            holders = self._holders.setdefault(name, [])
            if holders and (exclusive or holders[0].exclusive):
                raise LockedError(f"{name}: held by another handle; close it, or open the database with read_only=True")
            lock = TableLock(self, name, exclusive)
            holders.append(lock)
            return lock

    def free(self, lock: TableLock) -> None:
        with self._mutex:
            if lock in self._holders.get(lock.name, []):
                self._holders[lock.name].remove(lock)

    def locked(self, name: str) -> bool:
        with self._mutex:
            return any(lock.exclusive for lock in self._holders.get(name, []))


class TableLock:
    """A lock held in a LockTable."""

    def __init__(self, table: LockTable, name: str, exclusive: bool) -> None:
        self.name = name
        self.exclusive = exclusive
        self._table = table
        self._released = False
        self._pid = os.getpid()

    @property
    def held(self) -> bool:
        return not self._released and self._pid == os.getpid()

    def check(self) -> None:
        if self._pid != os.getpid():
            raise ClosedError(f"{self.name}: this handle belongs to the parent of a forked process; connect again here")
        if self._released:
            raise ClosedError(f"{self.name}: the lock was released; connect again")

    def release(self) -> None:
        if self.held:
            self._released = True
            self._table.free(self)

    def __enter__(self) -> TableLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()
