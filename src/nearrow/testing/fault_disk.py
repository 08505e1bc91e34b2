"""Fault disk: which operation fails, and how?"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Sequence
from random import Random
from types import TracebackType
from typing import NamedTuple

from nearrow.errors import ClosedError, NotFoundError
from nearrow.storage.directory import BytesLike, parent_of
from nearrow.storage.lock_table import LockTable
from nearrow.storage.memory import MemoryWatermark
from nearrow.storage.os_errors import typed_error
from nearrow.testing.fault_image import FileImage, FolderImage

OPERATION_KINDS = ("create", "write", "sync", "rename", "unlink", "make_folder", "sync_folder")


class PowerCut(BaseException):
    """The process is dead. A BaseException, so that no handler of the program revives it."""


class Operation(NamedTuple):
    """One change asked of the directory."""

    kind: str
    name: str


class FaultWatermark(MemoryWatermark):
    """A watermark of which a power loss may leave any value since it was last synced."""

    def __init__(self, value: int = 0) -> None:
        super().__init__()
        self._value = value
        self.possible = [value]

    def set(self, value: int) -> None:
        super().set(value)
        self.possible.append(value)

    def sync(self) -> None:
        self.possible = [self._value]

    def copy(self) -> FaultWatermark:
        twin = FaultWatermark(self._value)
        twin.possible = list(self.possible)
        return twin


class Disk:
    """What all views of one FaultDirectory share: the tree, the plan of the fault, the locks."""

    def __init__(
        self,
        root: FolderImage,
        random: Random,
        fail_at: int | None,
        error: int | type[PowerCut],
        kinds: Collection[str] | None,
    ) -> None:
        self.root = root
        self.random = random
        self.mutex = threading.RLock()
        self.locks = LockTable()
        self.watermarks: dict[str, FaultWatermark] = {}
        self.arm(fail_at, error, kinds)

    def arm(self, fail_at: int | None, error: int | type[PowerCut], kinds: Collection[str] | None) -> None:
        if unknown := set(kinds or ()) - set(OPERATION_KINDS):
            raise ValueError(f"unknown kinds of operation: {sorted(unknown)}")
        self.operations: list[Operation] = []
        self.fired = False
        self._dead = False
        self._fail_at = fail_at
        self._error = error
        self._kinds = kinds

    def step(
        self, kind: str, name: str, whole: Callable[[], object], failed: Callable[[], object] = lambda: None
    ) -> None:
        """Does `whole`, unless this is the operation that fails: then `failed`, and the error."""
        if self._dead:
            raise PowerCut(f"{kind} {name}: the power is off")
        if self._kinds is None or kind in self._kinds:
            self.operations.append(Operation(kind, name))
            if len(self.operations) == self._fail_at:
                self.fired = True
                self._fail(kind, name, whole, failed)
        whole()

    def find(self, full: str) -> FileImage | FolderImage | None:
        node: FileImage | FolderImage | None = self.root
        for part in full.split("/") if full else []:
            node = node.entries.get(part) if isinstance(node, FolderImage) else None
        return node

    def file(self, full: str) -> FileImage:
        node = self.find(full)
        if not isinstance(node, FileImage):
            raise NotFoundError(f"{full}: no such file")
        return node

    def folder(self, full: str) -> FolderImage:
        node = self.find(full)
        if not isinstance(node, FolderImage):
            raise NotFoundError(f"{full}: no such folder; make_folder({full!r}) first")
        return node

    def move(self, source: str, target: str) -> None:
        old, new = source.rpartition("/")[2], target.rpartition("/")[2]
        if parent_of(source) == parent_of(target):
            self.folder(parent_of(source)).rename(old, new)
        else:
            node = self.folder(parent_of(source)).entries[old]
            self.folder(parent_of(target)).add(new, node)
            self.folder(parent_of(source)).remove(old)

    def _fail(self, kind: str, name: str, whole: Callable[[], object], failed: Callable[[], object]) -> None:
        if isinstance(self._error, int):
            failed()
            raise typed_error(OSError(self._error, os.strerror(self._error)), kind, name)
        outcomes = [whole, lambda: None, *([failed] if kind == "write" else [])]
        self.random.choice(outcomes)()
        self._dead = True
        raise PowerCut(f"{kind} {name}: the power went")


class FaultOutputFile:
    """A file being written to a FaultDirectory."""

    def __init__(self, disk: Disk, file: FileImage, name: str) -> None:
        self._disk = disk
        self._file = file
        self.name = name
        self._closed = False

    @property
    def size(self) -> int:
        return len(self._file.data)

    @property
    def closed(self) -> bool:
        return self._closed

    def write(self, data: BytesLike) -> int:
        return self.write_parts((data,))

    def write_parts(self, parts: Sequence[BytesLike]) -> int:
        self._check()
        data = b"".join(parts)
        with self._disk.mutex:
            torn = data[: self._disk.random.randint(0, len(data))]
            self._disk.step("write", self.name, lambda: self._file.append(data), lambda: self._file.append(torn))
        return len(data)

    def flush(self) -> None:
        self._check()

    def begin_sync(self) -> None:
        self._check()

    def sync(self) -> None:
        self._check()
        with self._disk.mutex:
            self._disk.step("sync", self.name, self._file.sync, self._file.fail_sync)

    def tell(self) -> int:
        return len(self._file.data)

    def seekable(self) -> bool:
        return False

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        self._closed = True

    def __enter__(self) -> FaultOutputFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _check(self) -> None:
        if self._closed:
            raise ClosedError(f"{self.name}: the file was closed")
