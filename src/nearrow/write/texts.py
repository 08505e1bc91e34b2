"""Texts: how does the text index follow the rows?

The index is derived: it is opened when text is first asked for, follows the rows in the background, and is rebuilt from
them whenever it cannot be trusted. Rows that it does not hold yet (a few fresh ones, for a commit is two fsyncs; those
beside a bulk load in flight, which has reserved lower row numbers; all that a reader, who may not write it, finds
missing) are searched in a small index in memory beside it. Rows that died stay in it until the next commit; a search
never shows them.

What makes it safe: the log is synced before the index is committed, so the index never knows more than what survives a
crash; every alive row below its watermark is in it, so what is in it besides is dead. Both are checked when it is opened.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from nearrow.errors import StorageError
from nearrow.index.text import RebuildNeededError, TextIndex, TextView, text_fields_of
from nearrow.schema import CollectionConfig
from nearrow.segment.view import View
from nearrow.storage.directory import Directory
from nearrow.storage.fork import leave_behind
from nearrow.storage.manifest import Manifest
from nearrow.write.core import Core
from nearrow.write.text_rows import Tail, count_between, numbers_below, rows_between, together

logger = logging.getLogger("nearrow")

TEXT_FOLDER = "text"
FRESH_ROWS_MAX = 2048
"""A text search commits the rows that wait if they are more than this; fewer are indexed in memory."""
Report = Callable[[int, int], None]


class WriterTexts:
    """The text index of the collection that this process writes. Thread-safe."""

    def __init__(self, core: Core) -> None:
        """REQUIRES: nothing was written since the collection was opened."""
        self._core = core
        self._fields = text_fields_of(core.config)
        self._columns = [field.name for field in self._fields]
        self._writing = threading.Lock()  # held by whoever adds or deletes rows; taken before the mutex
        self._mutex = threading.Lock()
        self._index: TextIndex | None = None
        self._tail = Tail(self._fields)
        self._rows_end, self._lsn_end = core.state.next_row, core.state.lsn
        self._seen_row = 0
        self.progress: Report | None = None
        """Told (rows done, rows to do) while rows are indexed."""

    def views(self) -> tuple[View, Sequence[TextView]]:
        """Rows, and text views that together hold all of them and perhaps some that are dead."""
        with self._mutex:
            index = self._opened()
            if count_between(self._core.view, index.watermark, self._core.reservations.stable_row) > FRESH_ROWS_MAX:
                index = self._synced_unless_busy()
            view = self._core.view
            return view, together(index.view, self._tail.view(view, index.watermark))

    def sync(self) -> None:
        """Bring the index up to the newest rows and deaths, durably."""
        with self._writing, self._mutex:
            self._synced()

    def purge(self) -> None:
        """Make the index anew from the rows if its files still hold words of rows that are gone.

        Searches go on meanwhile in the old index, with fresh rows beside it.
        """
        with self._writing:
            with self._mutex:
                self._synced()
                index = self._opened()
            core = self._core
            if core.failed or not index.holds_deleted:
                return
            try:
                index.begin_again()
                limit = core.reservations.stable_row
                core.sync()
                end = self._add_rows(index, core.view, 0, limit)
                with self._mutex:
                    self._commit(index, max(end, index.watermark))
                index.collect_files()
            except BaseException:
                index.rollback()
                raise

    @property
    def behind(self) -> bool:
        """Whether rows or deaths wait to be indexed."""
        if self._index is None:
            return self._core.state.count > 0
        return self._seen_row != self._core.reservations.stable_row or bool(self._core.state.died)

    @property
    def nbytes(self) -> int:
        with self._mutex:
            return self._opened().nbytes

    def check(self) -> list[str]:
        with self._mutex:
            return self._opened().check()

    def rebuild(self) -> None:
        """Throw the index away and make it anew from the rows."""
        with self._writing, self._mutex:
            self._reopen_empty()
            self._synced()

    def close(self) -> None:
        with self._writing, self._mutex:
            if self._index is not None:
                self._index.close()
                self._index = None
            self._tail.close()

    # ---- inside; the mutex is held

    def _synced_unless_busy(self) -> TextIndex:
        """The index, brought up to date if the disk allows and nobody writes it just now; the tail has the rest."""
        if self._writing.acquire(blocking=False):
            try:
                self._synced()
            except StorageError as error:
                logger.warning("%s: the text index falls behind: %s", self._core.config.name, error)
            finally:
                self._writing.release()
        return self._opened()

    def _synced(self) -> None:
        try:
            self._sync_once()
        except RebuildNeededError as error:
            logger.warning("%s: %s", self._core.config.name, error)
            self._reopen_empty()
            self._sync_once()

    def _sync_once(self) -> None:
        index, core = self._opened(), self._core
        if core.failed:
            return  # what is in memory may be gone after the crash that this is
        with core.mutex:
            limit = core.reservations.stable_row
        core.sync()  # the index must never know what a power loss could take back
        try:
            self._commit(index, self._add_rows(index, core.view, index.watermark, limit))
        except BaseException:
            index.rollback()
            raise
        self._seen_row = limit

    def _commit(self, index: TextIndex, end: int) -> None:
        core = self._core
        with core.mutex:
            lsn, died = core.state.lsn, core.state.drain_died()
        try:
            if not index.uncommitted and not len(died):
                return
            core.sync()
            index.delete(died[died < end])
            index.commit(end, max(lsn, index.lsn))
        except BaseException:
            with core.mutex:
                core.state.died.append(died)
            raise

    def _add_rows(self, index: TextIndex, view: View, first: int, limit: int) -> int:
        """Returns the new watermark: behind the last row added, for numbers of rows that never come may be given again."""
        end = first
        for numbers, texts in rows_between(view, self._columns, first, limit):
            index.add(numbers, texts)
            end = int(numbers[-1]) + 1
            if self.progress is not None:
                self.progress(end - first, limit - first)
        return end

    def _opened(self) -> TextIndex:
        if self._index is None:
            try:
                index = self._open()
                try:
                    self._reconcile(index)
                except BaseException:
                    index.close()
                    raise
                self._index = index
            except RebuildNeededError as error:
                logger.warning("%s: %s", self._core.config.name, error)
                self._reopen_empty()
        assert self._index is not None
        return self._index

    def _open(self) -> TextIndex:
        core = self._core
        return TextIndex.open(_path(core.directory), self._fields, identity=core.manifest.uuid, rows_end=self._rows_end)

    def _reconcile(self, index: TextIndex) -> None:
        """Find out which rows died since the index was committed; RebuildNeededError if it lacks one that is alive."""
        if index.lsn > self._lsn_end:
            raise RebuildNeededError(f"the text index knows record {index.lsn}, the log ends at {self._lsn_end}")
        view = self._core.view
        more = index.view.rows - count_between(view, 0, index.watermark)
        if more == 0:
            return
        stray = np.setdiff1d(index.matches("*"), numbers_below(view, index.watermark), assume_unique=True)
        if len(stray) != more:
            raise RebuildNeededError("the text index lacks rows that are alive; it must be rebuilt")
        with self._core.mutex:
            self._core.state.died.append(stray)

    def _reopen_empty(self) -> None:
        if self._index is not None:
            try:
                self._index.close()
            except StorageError as error:  # its files go now
                logger.info("%s: %s", self._core.config.name, error)
            self._index = None
        self._core.directory.remove_folder(TEXT_FOLDER)
        with self._core.mutex:
            self._core.state.drain_died()
        self._index = self._open()


class Rows(Protocol):
    """A reader's rows."""

    config: CollectionConfig
    view: View

    @property
    def manifest(self) -> Manifest: ...


class ReaderTexts:
    """The text index as a reader process uses it: what the writer committed, and the rest in memory. Thread-safe.

    A text view must not be newer than the rows beside it: a row that it lacks because it died would be missed while the
    rows still show it. So `reload` loads the texts, then the rows are refreshed, and `advance` shows both at once.
    """

    def __init__(self, directory: Directory, rows: Rows) -> None:
        self._directory = directory
        self._rows = rows
        self._fields = text_fields_of(rows.config)
        self._mutex = threading.Lock()
        self._index: TextIndex | None = None
        self._loaded: TextView | None = None
        self._shown: tuple[View, TextView | None] = rows.view, None
        self._tail = Tail(self._fields)

    def views(self) -> tuple[View, Sequence[TextView]]:
        """Rows, and text views that together hold all of them and perhaps some that are dead."""
        with self._mutex:
            view, main = self._shown
            return view, together(main, self._tail.view(view, 0 if main is None else main.watermark))

    def reload(self) -> None:
        """Load what the writer has committed."""
        with self._mutex:
            try:
                if self._index is None:
                    path, uuid = _path(self._directory), self._rows.manifest.uuid
                    self._index = TextIndex.open(path, self._fields, read_only=True, identity=uuid)
                    self._loaded = self._index.view
                else:
                    self._loaded = self._index.reload()
            except RebuildNeededError as error:  # not built yet, or being rebuilt: an older version stays right
                logger.info("no newer text index to read: %s", error)
                self._index = None

    def advance(self) -> None:
        """Show the rows as they are now and the texts loaded before. REQUIRES: the rows were refreshed after `reload`."""
        with self._mutex:
            self._shown = self._rows.view, self._loaded

    def begin_in_child(self) -> None:
        """In a forked child: what is shown is mapped, and read without threads; all else is opened anew when needed."""
        leave_behind(self._index, self._tail)
        self._mutex = threading.Lock()
        self._index, self._tail = None, Tail(self._fields)

    def rebuild(self) -> None:
        """The writer's index is damaged: do without it until the next refresh."""
        with self._mutex:
            self._index = self._loaded = None
            self._shown = self._shown[0], None

    def close(self) -> None:
        with self._mutex:
            if self._index is not None:
                self._index.close()
                self._index = None
            self._tail.close()


def _path(directory: Directory) -> str | None:
    return None if directory.path is None else f"{directory.path}/{TEXT_FOLDER}"
