"""FaultDirectory: does the program keep its promises when the disk fails or the power goes?

    directory = FaultDirectory(seed=7, fail_at=12, error=errno.EIO)   # the 12th operation fails; or error=PowerCut
    ...                                                               # run the program on it
    assert directory.fired                                            # a pass counts only if the fault happened
    after = directory.crash()                                         # one possible disk after a power loss now
    after = directory.kill()                                          # the disk after kill -9 now: nothing is undone

To enumerate all points, run once without a fault, then with `fail_at` = 1 … `len(directory.operations)`.
"""

from __future__ import annotations

import errno
from collections.abc import Collection
from random import Random

import pyarrow as pa

from nearrow.errors import AlreadyExistsError, NotFoundError, StorageError
from nearrow.storage.directory import BytesLike, Lock, Watermark, checked_name, parent_of, publish_file
from nearrow.testing.fault_disk import OPERATION_KINDS, Disk, FaultOutputFile, FaultWatermark, Operation, PowerCut
from nearrow.testing.fault_image import FileImage, FolderImage


class FaultDirectory:
    """A directory in memory that fails on demand and can show a disk after a power loss.

    Seeded: the same run, the same faults. Thread-safe. Faults, operations and locks are shared by all `folder()` views.
    """

    path = None
    read_only = False

    def __init__(
        self,
        seed: int = 0,
        *,
        fail_at: int | None = None,
        error: int | type[PowerCut] = errno.EIO,
        kinds: Collection[str] | None = None,
    ) -> None:
        """`fail_at`: the number (from 1) of the operation that fails, counting only `kinds` if given.

        `error`: an errno (this operation alone fails; a write leaves a random part of its bytes, an fsync loses them),
        or PowerCut (the operation happens in part or not, and every later one raises PowerCut too).
        """
        self._disk = Disk(FolderImage(), Random(seed), fail_at, error, kinds)
        self._prefix = ""

    @property
    def operations(self) -> list[Operation]:
        """What was done so far (of the `kinds` counted)."""
        return self._disk.operations

    @property
    def fired(self) -> bool:
        """Whether the fault happened."""
        return self._disk.fired

    def arm(self, fail_at: int, error: int | type[PowerCut] = errno.EIO, kinds: Collection[str] | None = None) -> None:
        """Plans a fault for the `fail_at`-th operation from now; the count begins anew."""
        self._disk.arm(fail_at, error, kinds)

    def crash(self, seed: int | None = None) -> FaultDirectory:
        """A possible disk after a power loss now; another `seed`, another possibility. Locks are free."""
        with self._disk.mutex:
            random = Random(self._disk.random.random() if seed is None else seed)
            after = FaultDirectory(seed=random.getrandbits(32))
            after._disk.root = self._disk.root.after_crash(random)
            for name, mark in self._disk.watermarks.items():
                after._disk.watermarks[name] = FaultWatermark(random.choice(mark.possible))
            return after

    def kill(self) -> FaultDirectory:
        """The disk as the next process finds it after kill -9 now; what was not synced still is not. Locks are free."""
        with self._disk.mutex:
            after = FaultDirectory(seed=self._disk.random.getrandbits(32))
            after._disk.root = self._disk.root.copy()
            for name, mark in self._disk.watermarks.items():
                after._disk.watermarks[name] = mark.copy()
            return after

    def __repr__(self) -> str:
        return f"FaultDirectory({self._prefix!r}, {len(self.operations)} operations, fired={self.fired})"

    def exists(self, name: str) -> bool:
        return self._disk.find(self._at(name)) is not None

    def size(self, name: str) -> int:
        return len(self._disk.file(self._at(name)).data)

    def list(self, folder: str = "") -> list[str]:
        node = self._disk.find(self._at(folder) if folder else self._prefix[:-1])
        return sorted(node.entries) if isinstance(node, FolderImage) else []

    def read(self, name: str) -> bytes:
        return bytes(self._disk.file(self._at(name)).data)

    def map(self, name: str) -> pa.Buffer:
        with self._disk.mutex:
            return self._disk.file(self._at(name)).mapped()

    def create(self, name: str, *, preallocate: int = 0) -> FaultOutputFile:
        full = self._at(name)
        with self._disk.mutex:
            if self._disk.find(full) is not None:
                raise AlreadyExistsError(f"{name}: exists already; a published file is never overwritten")
            folder, file = self._disk.folder(parent_of(full)), FileImage()
            self._disk.step("create", full, lambda: folder.add(_last(full), file))
            return FaultOutputFile(self._disk, file, full)

    def rename(self, old: str, new: str) -> None:
        source, target = self._at(old), self._at(new)
        with self._disk.mutex:
            node = self._disk.find(source)
            if node is None:
                raise NotFoundError(f"{old}: no such file")
            if self._disk.find(target) is not None:
                raise AlreadyExistsError(f"{new}: exists already; a published file is never overwritten")
            self._disk.step("rename", target, lambda: self._disk.move(source, target))

    def unlink(self, name: str) -> None:
        full = self._at(name)
        with self._disk.mutex:
            self._disk.file(full)
            folder = self._disk.folder(parent_of(full))
            self._disk.step("unlink", full, lambda: folder.remove(_last(full)))

    def make_folder(self, name: str) -> None:
        full = self._at(name)
        with self._disk.mutex:
            node = self._disk.find(full)
            if isinstance(node, FileImage):
                raise StorageError(f"{name}: a file lies where the folder should be; move it away")
            above = parent_of(full)
            if above:
                FaultDirectory._view(self._disk, "").make_folder(above)
            folder = self._disk.folder(above)
            if node is None:
                self._disk.step("make_folder", full, lambda: folder.add(_last(full), FolderImage()))
            self._disk.step("sync_folder", above, folder.sync)

    def remove_folder(self, name: str) -> None:
        full = self._at(name)
        with self._disk.mutex:
            node = self._disk.find(full)
            if isinstance(node, FolderImage):
                for entry in sorted(node.entries):
                    self.remove_folder(f"{name}/{entry}")
                    if entry in node.entries:
                        self.unlink(f"{name}/{entry}")
                folder = self._disk.folder(parent_of(full))
                self._disk.step("unlink", full, lambda: folder.remove(_last(full)))
                for mark in [mark for mark in self._disk.watermarks if mark.startswith(full + "/")]:
                    del self._disk.watermarks[mark]

    def sync_folder(self, name: str = "") -> None:
        full = self._at(name) if name else self._prefix[:-1]
        with self._disk.mutex:
            self._disk.step("sync_folder", full, self._disk.folder(full).sync)

    def publish(self, name: str, data: BytesLike) -> None:
        publish_file(self, name, data)

    def folder(self, name: str) -> FaultDirectory:
        return FaultDirectory._view(self._disk, self._at(name) + "/")

    def lock(self, name: str, *, exclusive: bool) -> Lock:
        return self._disk.locks.take(self._at(name), exclusive)

    def locked(self, name: str) -> bool:
        return self._disk.locks.locked(self._at(name))

    def watermark(self, name: str) -> Watermark:
        with self._disk.mutex:
            return self._disk.watermarks.setdefault(self._at(name), FaultWatermark())

    def free_bytes(self) -> int:
        return 1 << 40

    def _at(self, name: str) -> str:
        return self._prefix + checked_name(name)

    @classmethod
    def _view(cls, disk: Disk, prefix: str) -> FaultDirectory:
        view = cls.__new__(cls)
        view._disk = disk
        view._prefix = prefix
        return view


def _last(name: str) -> str:
    return name.rpartition("/")[2]


__all__ = ["OPERATION_KINDS", "FaultDirectory", "Operation", "PowerCut"]
