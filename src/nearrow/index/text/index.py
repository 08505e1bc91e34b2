"""Text index: how do rows get into the full-text index, and up to where is it complete?

Rows come in rising order of row number; a commit states the `watermark` (all rows below it that were alive after log
record `lsn` are in it). Tantivy's commits carry no payload here, so both numbers stand in a marker document that every
commit replaces: they become visible in the same atomic rename of ``meta.json`` as the rows that they speak of. After a
crash the index is at some commit, whole; the caller adds what came after its watermark.

Thread safety: any number of threads may search; writes take a lock. Tantivy's own writer lock is a flock on a file
that stays: a crash frees it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import tantivy
import xxhash

from nearrow.errors import ClosedError, InvalidArgumentError, LockedError, ReadOnlyError, StorageError
from nearrow.index.text import files
from nearrow.index.text.compile import Compiler
from nearrow.index.text.documents import (
    Marker,
    add_rows,
    checked_texts,
    delete_rows,
    make_schema,
    read_marker,
    replace_marker,
)
from nearrow.index.text.opening import load, lockable, verify
from nearrow.index.text.searching import Searching
from nearrow.index.text.settings import RebuildNeededError, TextField, checked_fields
from nearrow.index.text.view import RowNumbers, TextView, native

HEAP_BYTES = 64 << 20
VERIFY_BYTES_MAX = 64 << 20
NUMBER_MAX = 2**64 - 1


class TextIndex(Searching):
    """The full-text index of one collection. Made by `open`; closed by `close`."""

    def __init__(
        self,
        path: str | None,
        fields: tuple[TextField, ...],
        identity: int,
        read_only: bool,
        verify_bytes_max: int | None,
    ) -> None:
        self.path = path
        self.fields = fields
        self.read_only = read_only
        self._identity = identity
        self._lock = threading.RLock()
        self._writer: tantivy.IndexWriter | None = None
        self._closed = False
        self._memory_marker = (0, 0)
        self._schema = make_schema(fields)
        self._compiler = Compiler(self._schema, fields)
        self._load = partial(
            load, path, self._schema, self._compiler, read_only=read_only, verify_bytes_max=verify_bytes_max
        )
        self._index = self._load()
        self._view = self._newest()
        self._next_row = self._view.watermark
        self._dirty = False

    @classmethod
    def open(
        cls,
        path: str | None,
        fields: Sequence[TextField | str],
        *,
        read_only: bool = False,
        identity: str = "",
        rows_end: int | None = None,
        verify_bytes_max: int | None = VERIFY_BYTES_MAX,
    ) -> TextIndex:
        """Open the index in folder `path` (its parent must exist; None: in memory), or begin an empty one there.

        identity: names the collection (its uuid); an index of another one is not used. rows_end: the next row number
        that the collection will give out; an index that knows of later rows is ahead of what survived, and is not used.
        verify_bytes_max: how much is checksummed before use (None: all).
        Raises RebuildNeededError when the folder must be removed and filled again (also read-only without an index).
        """
        digest = xxhash.xxh3_64_intdigest(identity.encode())
        index = cls(path, checked_fields(fields), digest, read_only, verify_bytes_max)
        if rows_end is not None and index.watermark > rows_end:
            index.close()
            raise RebuildNeededError(
                f"the text index knows rows up to {index.watermark}, the collection only {rows_end}; it must be rebuilt"
            )
        return index

    # ---- state

    @property
    def watermark(self) -> int:
        """Every row number below it that was alive after record `lsn` is in the committed index; 0 for an empty one."""
        return self._view.watermark

    @property
    def lsn(self) -> int:
        """The last log record whose deletes are in the committed index."""
        return self._view.lsn

    @property
    def view(self) -> TextView:
        """The newest committed version that this object has seen (see `reload`)."""
        self._require_open()
        return self._view

    @property
    def uncommitted(self) -> bool:
        """Whether rows or deletes wait for `commit`."""
        return self._dirty

    @property
    def nbytes(self) -> int:
        """Bytes on disk; 0 in memory (Tantivy does not tell)."""
        return files.folder_bytes(self.path) if self.path is not None else 0

    def stats(self) -> dict[str, int]:
        view = self.view
        return {
            "rows": view.rows, "segments": int(view.searcher.num_segments), "nbytes": self.nbytes,
            "watermark": view.watermark, "lsn": view.lsn,
        }  # fmt: skip

    # ---- writing

    def add(self, row_numbers: RowNumbers, columns: Mapping[str, pa.Array | pa.ChunkedArray]) -> None:
        """Add rows: rising row numbers, none seen before, and for each field a string column (null: no text).

        Everything is checked before anything reaches Tantivy, whose writer dies of a document that it refuses.
        Raises StorageError if the disk fails; the rows since the last commit must then be added again.
        """
        numbers = np.ascontiguousarray(row_numbers, np.uint64)
        with self._lock:
            self._require_writable()
            if len(numbers) == 0:
                return
            if int(numbers[0]) < self._next_row or not bool(np.all(numbers[:-1] < numbers[1:])):
                start = numbers[:3].tolist()
                raise InvalidArgumentError(f"row numbers must rise, from {self._next_row} on; got {start}…")
            texts = checked_texts(self._compiler, columns, len(numbers))
            writer = self._open_writer()
            self._attempt(lambda: add_rows(writer, numbers, texts))
            self._next_row = int(numbers[-1]) + 1
            self._dirty = True

    def delete(self, row_numbers: RowNumbers) -> None:
        """Delete rows; numbers that are not there do no harm."""
        numbers = np.asarray(row_numbers, np.uint64).tolist()
        with self._lock:
            self._require_writable()
            if not numbers:
                return
            writer = self._open_writer()
            self._attempt(lambda: delete_rows(writer, self._schema, numbers))
            self._dirty = True

    def commit(self, watermark: int, lsn: int | None = None) -> None:
        """Make what was added and deleted durable and visible, complete below `watermark` and up to log record `lsn`.

        lsn None: as before. Raises InvalidArgumentError if either number would fall, StorageError as `add`.
        REQUIRES: the log is durable up to `lsn`, else a power loss leaves an index of rows that never were.
        """
        with self._lock:
            self._require_writable()
            lsn = self.lsn if lsn is None else lsn
            least = max(self._next_row, self.watermark)
            if not least <= watermark <= NUMBER_MAX or not self.lsn <= lsn <= NUMBER_MAX:
                raise InvalidArgumentError(
                    f"commit({watermark}, {lsn}): watermark must be {least} or more, lsn {self.lsn} or more"
                )
            writer = self._open_writer()
            self._attempt(lambda: self._commit(writer, watermark, lsn))
            self._next_row = watermark
            self._dirty = False

    @property
    def holds_deleted(self) -> bool:
        """Whether the words of deleted rows (or old markers) are still in the files."""
        return self.path is not None and files.holds_deleted(files.read_meta(self.path, self.fields))

    def begin_again(self) -> None:
        """Forget all rows with the next commit; until then, searches see those of the last one."""
        with self._lock:
            self._require_writable()
            writer = self._open_writer()
            self._attempt(writer.delete_all_documents)
            self._next_row = 0
            self._dirty = True

    def collect_files(self) -> None:
        """Delete the files that no commit needs any more; those that a search still reads go with a later commit."""
        with self._lock:
            self._require_writable()
            self._attempt(self._open_writer().garbage_collect_files)

    def rollback(self) -> None:
        """Forget what was added and deleted since the last commit."""
        with self._lock:
            self._require_writable()
            self._writer = None
            self._next_row = self._view.watermark
            self._dirty = False

    def close(self) -> None:
        """Let go of the files. What was not committed is forgotten; running merges are waited for."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            writer, self._writer = self._writer, None
            if writer is not None:
                self._attempt(writer.wait_merging_threads)

    # ---- reading: see Searching

    def reload(self) -> TextView:
        """See what the writing process has committed. Returns the newest view.

        A reader loads the text view first and its rows second: then the rows are as new as the text or newer, every
        row of the text view that is gone is known to be dead, and rows from the watermark on are what the text lacks.
        """
        with self._lock:
            self._require_open()
            if self.path is None or lockable(self.path):
                native(self._index.reload)
            else:
                self._index = self._load()
            self._view = self._newest()
            return self._view

    def check(self) -> list[str]:
        """What is wrong with the files, every byte of them read; empty if nothing is."""
        if self.path is None:
            return []
        try:
            verify(self.path, self.fields, None)
        except RebuildNeededError as error:
            return [str(error)]
        return []

    # ---- inside

    def _newest(self) -> TextView:
        searcher = self._index.searcher()
        if self.path is None:
            return TextView(searcher, self._compiler, *self._memory_marker)
        marker = native(lambda: read_marker(searcher, self._schema))
        if marker is not None and marker.identity != self._identity:
            raise RebuildNeededError("the text index belongs to another collection; it must be rebuilt")
        return TextView(searcher, self._compiler, *((marker.watermark, marker.lsn) if marker else (0, 0)))

    def _commit(self, writer: tantivy.IndexWriter, watermark: int, lsn: int) -> None:
        if self.path is None:  # no crash to survive, and no empty document that shifts the statistics of a few rows
            self._memory_marker = (watermark, lsn)
        else:
            replace_marker(writer, self._schema, Marker(watermark, lsn, self._identity))
        writer.commit()
        self._index.reload()
        self._view = self._newest()

    def _open_writer(self) -> tantivy.IndexWriter:
        if self._writer is None:
            try:
                # One thread keeps rows in their order and segments few; two are no faster, for Python feeds them.
                self._writer = self._index.writer(HEAP_BYTES, 1)
            except ValueError as error:
                if "LockBusy" in str(error):
                    raise LockedError(
                        "another process writes this text index; open the collection read-only, or close the other"
                    ) from error
                raise StorageError(f"the text index cannot be written: {error}") from error
        return self._writer

    def _attempt(self, work: Any) -> None:
        """Run Tantivy's writing code; if it fails, its writer is dropped, and with it all since the last commit."""
        try:
            work()
        except RebuildNeededError:
            raise
        except BaseException as error:
            self._writer = None
            self._next_row = self._view.watermark
            self._dirty = False
            if isinstance(error, Exception) or type(error).__name__ == "PanicException":
                raise StorageError(
                    f"writing the text index failed: {error}; check the disk, then reopen the collection"
                ) from error
            raise

    def _require_open(self) -> None:
        if self._closed:
            raise ClosedError("the text index is closed; open the collection again")

    def _require_writable(self) -> None:
        self._require_open()
        if self.read_only:
            raise ReadOnlyError("the text index is open for reading only; open the collection without read_only")


__all__ = ["HEAP_BYTES", "VERIFY_BYTES_MAX", "TextIndex"]
