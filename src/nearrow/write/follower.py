"""Follower: how does a reader process see what the writer makes durable?

It maps one version under the shared lease, so that nothing is retired while it does, and replays the log's durable
records behind it. `refresh` reads only what came since; a new manifest is opened with the segments that are open already.
"""

from __future__ import annotations

import logging
import threading
import time

from nearrow.errors import ClosedError, CorruptionError, LockedError, NotFoundError, ReadOnlyError, StorageError
from nearrow.schema import CollectionConfig
from nearrow.segment.view import View
from nearrow.storage.directory import Directory
from nearrow.storage.gc import LEASE
from nearrow.storage.log_reader import durable_lsn
from nearrow.storage.manifest import Manifest, generations
from nearrow.write.open import LOCK, read_manifest
from nearrow.write.recovery import Replay, open_state
from nearrow.write.state import State
from nearrow.write.texts import ReaderTexts

logger = logging.getLogger(__name__)

ATTEMPTS_MAX = 1000
LEASE_SECONDS = 0.01


class Follower:
    """A read-only handle on a collection's folder. Thread-safe."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._mutex = threading.Lock()
        self._closed = False
        self.view: View
        self.config: CollectionConfig
        self._manifest: Manifest
        self._state: State
        self._replay: Replay
        self._load(None)
        self.texts = ReaderTexts(directory, self) if self.config.text_fields else None
        if self.texts is not None:
            self.refresh()

    @property
    def directory(self) -> Directory:
        return self._directory

    @property
    def manifest(self) -> Manifest:
        return self._manifest

    @property
    def state(self) -> State:
        return self._state

    def refresh(self) -> None:
        """Catch up with the writer. Views taken before stay as they are."""
        with self._mutex:
            self.check_open()
            if self.texts is not None:
                self.texts.reload()  # text first, rows second: what the text lacks is then known to be in the rows
            self._catch_up()
            if self.texts is not None:
                self.texts.advance()

    def hold_still(self) -> None:
        """No refresh is under way when a process forks: the child would share the file locks that it takes."""
        self._mutex.acquire()

    def go_on(self) -> None:
        self._mutex.release()

    def begin_in_child(self) -> None:
        """Read on in a forked child: what is mapped is mapped there, too."""
        self._mutex.release()
        if self.texts is not None:
            self.texts.begin_in_child()

    def _catch_up(self) -> None:
        newest = generations(self._directory)
        if newest and newest[-1] == self._manifest.number:
            try:
                applied = self._replay.run(self._state)
                if generations(self._directory)[-1] == newest[-1]:
                    if applied:
                        self.view = self._state.view()
                    return
                # a commit came between: the records read may build on rows that only the new manifest names
            except NotFoundError:
                logger.info("a log of %s was retired while it was read; opening anew", self.config.name)
        self._load(self._state)

    def _load(self, old: State | None) -> None:
        known = {part.id: part for part in old.segments} if old is not None else {}
        for _ in range(ATTEMPTS_MAX):
            living = True  # there is a writer, for all that is known
            try:
                with self._directory.lock(LEASE, exclusive=False):
                    manifest = read_manifest(self._directory)
                    config = CollectionConfig.from_dict(manifest.config)
                    state = open_state(self._directory, config, manifest, known)
                    living = self._directory.locked(LOCK)
                    replay = Replay(self._directory, manifest, durable_lsn(self._directory) if living else None)
                    replay.run(state)
            except LockedError:  # files are being retired right now
                time.sleep(LEASE_SECONDS)
                continue
            except NotFoundError:
                if not generations(self._directory):
                    raise
                continue  # retired between listing and mapping, by a writer that could not see the lease
            except CorruptionError:
                if not living and self._directory.locked(LOCK):
                    continue  # a writer came: what looked like a damaged end may have been a record that it was writing
                raise
            if not living and self._directory.locked(LOCK):
                continue  # a writer came while the log was read to its very end: it alone says what is durable
            if generations(self._directory)[-1] == manifest.number:
                self._manifest, self._state, self._replay, self.config = manifest, state, replay, config
                self.view = state.view()
                return
        raise StorageError(f"the collection changed {ATTEMPTS_MAX} times while it was opened; try again")

    def check_open(self) -> None:
        if self._closed:
            raise ClosedError("the collection is closed; open it again with connect(...).collection(...)")

    def check_writable(self) -> None:
        self.check_open()
        raise ReadOnlyError("the database was opened with read_only=True; open it without to write")

    def close(self) -> None:
        self._closed = True
        if self.texts is not None:
            self.texts.close()
