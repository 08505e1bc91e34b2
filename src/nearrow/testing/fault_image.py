"""Fault image: what may be on a disk after the power went, given what was written and synced?

POSIX as it is, not as file systems are kind enough to be: fsync of a file keeps its bytes, fsync of its folder keeps
its entries, and nothing else is kept for certain. Unsynced bytes survive by sectors, in any order; unsynced entries
survive as a prefix of the changes or as any subset of them. A page whose write-back failed stays unsure for ever,
although a later fsync reports success.
"""

from __future__ import annotations

from random import Random

import pyarrow as pa

SECTOR_BYTES = 512


class FileImage:
    """One file: its bytes as programs see them, and which of them the disk certainly has."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.synced_bytes = len(data)
        self.lost: list[tuple[int, int]] = []  # ranges whose write-back failed
        self._mapped: pa.Buffer | None = None

    def append(self, data: bytes) -> None:
        self.data += data

    def sync(self) -> None:
        self.synced_bytes = len(self.data)

    def fail_sync(self) -> None:
        """The OS drops the dirty pages' marks: the next fsync succeeds without having written them."""
        if self.synced_bytes < len(self.data):
            self.lost.append((self.synced_bytes, len(self.data)))
        self.synced_bytes = len(self.data)

    def mapped(self) -> pa.Buffer:
        if self._mapped is None or self._mapped.size != len(self.data):  # append-only: same size, same bytes
            self._mapped = pa.allocate_buffer(len(self.data))
            memoryview(self._mapped).cast("B")[:] = bytes(self.data)
        return self._mapped

    def copy(self) -> FileImage:
        twin = FileImage(bytes(self.data))
        twin.synced_bytes = self.synced_bytes
        twin.lost = list(self.lost)
        return twin

    def after_crash(self, random: Random) -> FileImage:
        size = random.choice([self.synced_bytes, len(self.data), random.randint(self.synced_bytes, len(self.data))])
        survivors = bytearray(self.data[:size])
        chance = random.choice([0.0, 0.5, 1.0])
        for start, end in [*self.lost, (self.synced_bytes, size)]:
            for sector in range(start // SECTOR_BYTES, -(-end // SECTOR_BYTES)):
                first, last = max(start, sector * SECTOR_BYTES), min(end, size, (sector + 1) * SECTOR_BYTES)
                if first < last and random.random() >= chance:
                    survivors[first:last] = bytes(last - first)
        return FileImage(bytes(survivors))


class FolderImage:
    """One folder: its entries as programs see them, as the disk certainly has them, and the changes in between."""

    def __init__(self) -> None:
        self.entries: dict[str, FileImage | FolderImage] = {}
        self._synced: dict[str, FileImage | FolderImage] = {}
        self._changes: list[tuple[str | None, str | None, FileImage | FolderImage | None]] = []  # removed, added, what

    def add(self, name: str, node: FileImage | FolderImage) -> None:
        self._change(None, name, node)

    def remove(self, name: str) -> None:
        self._change(name, None, None)

    def rename(self, old: str, new: str) -> None:
        self._change(old, new, self.entries[old])

    def sync(self) -> None:
        self._synced = dict(self.entries)
        self._changes = []

    def copy(self, done: dict[int, FileImage | FolderImage] | None = None) -> FolderImage:
        """A twin with the same unsynced changes; a file under two names stays one file."""
        done = {} if done is None else done

        def twin_of(node: FileImage | FolderImage) -> FileImage | FolderImage:
            if id(node) not in done:
                done[id(node)] = node.copy() if isinstance(node, FileImage) else node.copy(done)
            return done[id(node)]

        twin = FolderImage()
        twin.entries = {name: twin_of(node) for name, node in self.entries.items()}
        twin._synced = {name: twin_of(node) for name, node in self._synced.items()}
        twin._changes = [(old, new, None if node is None else twin_of(node)) for old, new, node in self._changes]
        return twin

    def after_crash(self, random: Random) -> FolderImage:
        entries = dict(self._synced)
        for change in _surviving(self._changes, random):
            _apply(entries, *change)
        image = FolderImage()
        image.entries = {name: entries[name].after_crash(random) for name in sorted(entries)}
        image.sync()
        return image

    def _change(self, removed: str | None, added: str | None, node: FileImage | FolderImage | None) -> None:
        self._changes.append((removed, added, node))
        _apply(self.entries, removed, added, node)


_Change = tuple[str | None, str | None, FileImage | FolderImage | None]


def _apply(
    entries: dict[str, FileImage | FolderImage],
    removed: str | None,
    added: str | None,
    node: FileImage | FolderImage | None,
) -> None:
    if removed is not None:
        entries.pop(removed, None)
    if added is not None and node is not None:
        entries[added] = node


def _surviving(changes: list[_Change], random: Random) -> list[_Change]:
    if random.random() < 0.5:  # a journal replayed up to some point
        return changes[: random.randint(0, len(changes))]
    return [change for change in changes if random.random() < 0.5]
