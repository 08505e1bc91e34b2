"""Texts: how does the text index follow the rows?

The index is derived: it is opened when text is first asked for, brought up to the newest view before each text search,
and rebuilt from the rows whenever it cannot be trusted. Rows that it cannot hold yet (a bulk load in flight has reserved
lower row numbers, or this is a reader, who may not write it) are searched in a small index in memory beside it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa

from nearrow.index.text import RebuildNeededError, TextField, TextIndex, TextView, text_fields_of
from nearrow.schema import CollectionConfig
from nearrow.segment.rows import fill_columns
from nearrow.segment.view import Part, View, alive_mask
from nearrow.storage.directory import Directory
from nearrow.storage.manifest import Manifest
from nearrow.write.core import Core
from nearrow.write.record import RowNumbers

logger = logging.getLogger("nearrow")

TEXT_FOLDER = "text"
ROWS_AT_ONCE = 8192
Report = Callable[[int, int], None]


class WriterTexts:
    """The text index of the collection that this process writes. Thread-safe."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._fields = text_fields_of(core.config)
        self._mutex = threading.Lock()
        self._index: TextIndex | None = None
        self._tail = _Tail(self._fields)

    def views(self) -> tuple[View, Sequence[TextView]]:
        """Rows, and text views that together hold all of them and perhaps some that are dead."""
        with self._mutex:
            index = self._synced(lambda done, total: None)
            view = self._core.view
            tail = self._tail.view(view, index.watermark)
            return view, [index.view] if tail is None else [index.view, tail]

    def sync(self, report: Report) -> None:
        """Bring the index up to the newest rows, durably."""
        with self._mutex:
            self._synced(report)

    @property
    def behind(self) -> bool:
        """Whether rows wait to be indexed."""
        if self._index is None:
            return self._core.state.count > 0
        return self._index.watermark < self._core.stable_row or bool(self._core.state.died)

    @property
    def nbytes(self) -> int:
        with self._mutex:
            return self._opened().nbytes

    def check(self) -> list[str]:
        with self._mutex:
            return self._opened().check()

    def rebuild(self) -> None:
        """Throw the index away and make it anew from the rows."""
        with self._mutex:
            self._reopen_empty()
            self._synced(lambda done, total: None)

    def close(self) -> None:
        with self._mutex:
            if self._index is not None:
                self._index.close()
                self._index = None
            self._tail.close()

    def _synced(self, report: Report) -> TextIndex:
        try:
            return self._sync_once(report)
        except RebuildNeededError as error:
            logger.warning("%s: %s", self._core.config.name, error)
            self._reopen_empty()
            return self._sync_once(report)

    def _sync_once(self, report: Report) -> TextIndex:
        index = self._opened()
        core = self._core
        with core.mutex:
            core.sync()  # the index must never know rows that a power loss could take back
            view, limit, lsn = core.view, core.stable_row, core.state.lsn
            died = core.state.drain_died()
        first = index.watermark
        if limit == first and not len(died):
            return index
        total = limit - first
        for numbers, texts in rows_between(view, [field.name for field in self._fields], first, limit):
            index.add(numbers, texts)
            report(int(numbers[-1]) - first + 1, total)
        index.delete(died[died < limit])
        index.commit(limit, max(lsn, index.lsn))
        return index

    def _opened(self) -> TextIndex:
        if self._index is None:
            core = self._core
            try:
                index = self._open()
                died = core.state.drain_died()
                core.state.died.append(died)
                alive = sum(len(numbers) for numbers, _ in rows_between(core.view, [], 0, index.watermark))
                missing = index.view.rows - alive
                if missing < 0 or missing > len(np.unique(died)):
                    index.close()
                    raise RebuildNeededError(f"the text index holds {index.view.rows} rows where {alive} are alive")
                self._index = index
            except RebuildNeededError as error:
                logger.warning("%s: %s", core.config.name, error)
                self._reopen_empty()
        assert self._index is not None
        return self._index

    def _open(self) -> TextIndex:
        core = self._core
        return TextIndex.open(
            _path(core.directory), self._fields, identity=core.manifest.uuid, rows_end=core.state.next_row
        )

    def _reopen_empty(self) -> None:
        if self._index is not None:
            self._index.close()
            self._index = None
        self._core.directory.remove_folder(TEXT_FOLDER)
        self._core.state.drain_died()
        self._index = self._open()


class Rows(Protocol):
    """A reader's rows."""

    config: CollectionConfig
    view: View

    @property
    def manifest(self) -> Manifest: ...


class ReaderTexts:
    """The text index as a reader process uses it: what the writer committed, and the rest in memory. Thread-safe."""

    def __init__(self, directory: Directory, rows: Rows) -> None:
        self._directory = directory
        self._rows = rows
        self._fields = text_fields_of(rows.config)
        self._mutex = threading.Lock()
        self._index: TextIndex | None = None
        self._tail = _Tail(self._fields)
        self.reload()

    def views(self) -> tuple[View, Sequence[TextView]]:
        """Rows, and text views that together hold all of them and perhaps some that are dead."""
        with self._mutex:
            view = self._rows.view
            tail = self._tail.view(view, 0 if self._index is None else self._index.watermark)
            found = [] if self._index is None else [self._index.view]
            return view, found if tail is None else [*found, tail]

    def reload(self) -> None:
        """See what the writer has committed. REQUIRES: called before the rows are refreshed."""
        with self._mutex:
            try:
                if self._index is None:
                    path, uuid = _path(self._directory), self._rows.manifest.uuid
                    self._index = TextIndex.open(path, self._fields, read_only=True, identity=uuid)
                else:
                    self._index.reload()
            except RebuildNeededError as error:
                logger.info("no text index to read yet: %s", error)
                self._index = None

    def close(self) -> None:
        with self._mutex:
            if self._index is not None:
                self._index.close()
                self._index = None
            self._tail.close()


class _Tail:
    """An index in memory of the view's rows from a row number on; made anew when either changes."""

    def __init__(self, fields: Sequence[TextField]) -> None:
        self._fields = fields
        self._key: tuple[int, int, int] | None = None
        self._index: TextIndex | None = None

    def view(self, view: View, first: int) -> TextView | None:
        """None if there are no such rows."""
        key = (view.generation, view.lsn, first)
        if key != self._key:
            self.close()
            end = 0
            for numbers, texts in rows_between(view, [field.name for field in self._fields], first, None):
                if self._index is None:
                    self._index = TextIndex.open(None, self._fields)
                self._index.add(numbers, texts)
                end = int(numbers[-1]) + 1
            if self._index is not None:
                self._index.commit(end)
            self._key = key
        return None if self._index is None else self._index.view

    def close(self) -> None:
        if self._index is not None:
            self._index.close()
        self._index, self._key = None, None


def rows_between(
    view: View, columns: Sequence[str], first: int, limit: int | None
) -> Iterator[tuple[RowNumbers, dict[str, pa.ChunkedArray]]]:
    """The view's rows with first ≤ row number < limit, ascending, in pieces: their numbers and the columns."""
    ranges = []
    for index, part in enumerate(view.parts):
        low = _lower_bound(part, first)
        high = part.rows if limit is None else _lower_bound(part, limit)
        if high > low:
            ranges.append((int(part.row_numbers_at(np.array([low]))[0]), index, low, high))
    ranges.sort()
    schema = pa.schema([view.schema.field(name) for name in columns])
    owners: list[np.ndarray] = []
    positions: list[np.ndarray] = []
    numbers: list[np.ndarray] = []
    for _, index, low, high in ranges:
        part = view.parts[index]
        mask = alive_mask(part.alive, low, high - low)
        here = np.arange(low, high) if mask is None else low + np.flatnonzero(mask)
        owners.append(np.full(len(here), index, np.int32))
        positions.append(here.astype(np.int64))
        numbers.append(part.row_numbers_at(positions[-1]))
    if not numbers:
        return
    number, owner, position = np.concatenate(numbers), np.concatenate(owners), np.concatenate(positions)
    if not bool((number[1:] > number[:-1]).all()):  # parts interleave after bulk loads beside small writes
        order = np.argsort(number, kind="stable")
        number, owner, position = number[order], owner[order], position[order]
    for start in range(0, len(number), ROWS_AT_ONCE):
        piece = slice(start, start + ROWS_AT_ONCE)
        table = fill_columns(view.take(owner[piece], position[piece], columns), schema)
        yield number[piece], dict(zip(columns, table.columns, strict=True))


def _lower_bound(part: Part, number: int) -> int:
    """The first position whose row number is at least `number`."""
    low, high = 0, part.rows
    while low < high:
        middle = (low + high) // 2
        if int(part.row_numbers_at(np.array([middle]))[0]) < number:
            low = middle + 1
        else:
            high = middle
    return low


def _path(directory: Directory) -> str | None:
    return None if directory.path is None else f"{directory.path}/{TEXT_FOLDER}"
