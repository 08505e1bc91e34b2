"""Harness: how is the collection under test opened, closed and killed?

The model does not care where the collection lies; a harness does. Another one (a server, a new directory) runs the same
model by giving these verbs.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from random import Random
from typing import Protocol

from nearrow.collection import Collection
from nearrow.schema import CollectionConfig
from nearrow.storage.directory import Directory
from nearrow.storage.local import LocalDirectory
from nearrow.storage.memory import MemoryDirectory
from nearrow.testing.fault_directory import FaultDirectory, PowerCut
from nearrow.testing.inline_background import open_inline
from nearrow.testing.remains import leave_copy
from nearrow.write.follower import Follower
from nearrow.write.open import create, open_writer
from nearrow.write.writer import Writer


class Harness(Protocol):
    """One collection, through its lives."""

    def create(self, config: CollectionConfig) -> Collection:
        """An empty collection, open for writing."""

    def reopen(self, collection: Collection) -> Collection:
        """Close it in order and open it again."""

    def kill(self, collection: Collection, seed: int) -> Collection:
        """The process dies without a word; another one opens what it left."""

    def reader(self) -> Collection:
        """A read-only handle, as another process has it."""

    def arm(self, fail_at: int, error: int | type[PowerCut]) -> bool:
        """Plan a fault at the `fail_at`-th operation from now; False if this harness cannot."""

    def disarm(self) -> bool:
        """No fault from now on; whether one has fired."""

    def close(self) -> None: ...


def abandon(collection: Collection) -> None:
    """Free locks and threads of a writer as its death would: nothing is synced, finished or closed."""
    store = collection._store
    assert isinstance(store, Writer)
    store.background.stop(finish=False)
    store._release()


class _Faultless:
    def arm(self, fail_at: int, error: int | type[PowerCut]) -> bool:
        return False

    def disarm(self) -> bool:
        return False


class MemoryHarness(_Faultless):
    """In memory, with background threads. A kill keeps all bytes, as a killed process's page cache does."""

    def __init__(self) -> None:
        self._directory: Directory = MemoryDirectory()

    def create(self, config: CollectionConfig) -> Collection:
        create(self._directory, config)
        return Collection(open_writer(self._directory))

    def reopen(self, collection: Collection) -> Collection:
        collection.close()
        return Collection(open_writer(self._directory))

    def kill(self, collection: Collection, seed: int) -> Collection:
        abandon(collection)
        return Collection(open_writer(self._directory))

    def reader(self) -> Collection:
        return Collection(Follower(self._directory))

    def close(self) -> None:
        """Memory needs no cleaning."""


class LocalHarness(_Faultless):
    """In a folder of the file system. A kill goes on with a copy of the folder, taken while the old handle has it open."""

    def __init__(self) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="nearrow-model-"))
        self._lives = 0

    @property
    def _directory(self) -> Directory:
        return LocalDirectory(self._root / str(self._lives))

    def create(self, config: CollectionConfig) -> Collection:
        create(self._directory, config)
        return Collection(open_writer(self._directory))

    def reopen(self, collection: Collection) -> Collection:
        collection.close()
        return Collection(open_writer(self._directory))

    def kill(self, collection: Collection, seed: int) -> Collection:
        abandon(collection)
        old, self._lives = self._root / str(self._lives), self._lives + 1
        leave_copy(old, self._root / str(self._lives))
        reopened = Collection(open_writer(self._directory))
        shutil.rmtree(old, ignore_errors=True)  # tantivy may still write there; close() takes what is left
        return reopened

    def reader(self) -> Collection:
        return Collection(Follower(LocalDirectory(self._root / str(self._lives), read_only=True)))

    def close(self) -> None:
        shutil.rmtree(self._root, ignore_errors=True)


class FaultHarness:
    """On a FaultDirectory: a kill is, by its seed, a dead process or a power loss. Background work is inline."""

    def __init__(self) -> None:
        self._directory = FaultDirectory(seed=0)

    def create(self, config: CollectionConfig) -> Collection:
        create(self._directory, config)
        return open_inline(self._directory)

    def reopen(self, collection: Collection) -> Collection:
        collection.close()
        return open_inline(self._directory)

    def kill(self, collection: Collection, seed: int) -> Collection:
        random = Random(seed)
        abandon(collection)
        self._directory = self._directory.kill() if random.random() < 0.3 else self._directory.crash(seed)
        return open_inline(self._directory)

    def reader(self) -> Collection:
        return Collection(Follower(self._directory))

    def arm(self, fail_at: int, error: int | type[PowerCut]) -> bool:
        self._directory.arm(fail_at, error)
        return True

    def disarm(self) -> bool:
        fired = self._directory.fired
        if not fired:
            self._directory.arm(0)
        return fired

    def close(self) -> None:
        """Memory needs no cleaning."""
