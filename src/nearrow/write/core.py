"""Core: when is a change durable, and when does it become visible?

Order of every write: resolve under the mutex → append to the log → apply to the state → (fsync) → publish the view →
return. Threads that wait for an fsync share it: whoever syncs first covers every record appended before. A view is
published only when its last record is durable (at once when the durability is not "full"). After a failed append or
fsync nothing is acknowledged and every later write is refused: reopening recovers the valid prefix.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

import pyarrow as pa

from nearrow.errors import ClosedError, EmbeddingError, NearrowError, StorageError
from nearrow.schema import CollectionConfig
from nearrow.segment.part import SegmentPart
from nearrow.segment.view import View
from nearrow.segment.writer import write_dead
from nearrow.storage.directory import Directory
from nearrow.storage.log_format import owner_of
from nearrow.storage.log_reader import LogEnd
from nearrow.storage.log_writer import LogWriter
from nearrow.storage.manifest import Manifest, SegmentEntry
from nearrow.storage.manifest import commit as commit_manifest
from nearrow.storage.poison import Poison
from nearrow.write.budget import MemoryBudget
from nearrow.write.files import Files
from nearrow.write.manifest_schema import encode_schema, id_type
from nearrow.write.record import Change, encode
from nearrow.write.reservations import Reservations
from nearrow.write.state import FrozenMemtable, State

Resolve = Callable[[State], tuple[Change, pa.Schema] | None]
"""Turns a request into a change against the state of that moment; None when there is nothing to do."""


class ModelChangedError(EmbeddingError):
    """Rows came too late for the model that made their vectors."""


class Core:
    """The write path below the public verbs. Thread-safe; one per open collection."""

    def __init__(
        self,
        directory: Directory,
        config: CollectionConfig,
        manifest: Manifest,
        state: State,
        log_end: LogEnd,
        budget: MemoryBudget,
    ) -> None:
        self.directory = directory
        self.config = config
        self.budget = budget
        self.manifest = manifest
        self.state = state
        self.mutex = threading.RLock()
        self.idle = threading.Condition(self.mutex)
        self.view: View = state.view()
        self.files = Files(directory, config.name, state.has_segment)
        self.reservations = Reservations(state, self.mutex)
        self.last_flush: int | None = None  # microseconds since 1970
        self.last_merge: int | None = None
        self._publishing = threading.Lock()
        self._pending: deque[tuple[int, View]] = deque()
        self._log_end = log_end
        self._log: LogWriter | None = None
        self._log_schema: pa.Schema | None = None
        self._previous: Manifest | None = None
        self._poison = Poison()
        self._closed = False
        self._pid = os.getpid()

    # ---- changes

    def write(self, resolve: Resolve) -> Change | None:
        """Make one atomic change durable and visible; returns it."""
        with self.mutex:
            self.check_writable()
            resolved = resolve(self.state)
            if resolved is None:
                return None
            change, schema = resolved
            lsn = self._append(change, schema)
            self.state.apply(change, lsn, schema)
            view = self.state.view()
            self._pending.append((lsn, view))
        if self.config.durability == "full":
            self.sync(lsn)
        else:
            self._publish(lsn)
        return change

    def _append(self, change: Change, schema: pa.Schema) -> int:
        log = self.open_log()
        new_schema = schema if change.puts and self._log_schema is not schema else None
        if new_schema is not None and self._log_schema is not None and new_schema.equals(self._log_schema):
            new_schema = None
        with self._poison:
            lsn = log.append(encode(change, new_schema), sync_follows=self.config.durability == "full")
        if new_schema is not None:
            self._log_schema = schema
        return lsn

    def open_log(self) -> LogWriter:
        """The log of this writer's epoch, begun at its first write."""
        if self._log is None:
            with self._poison:
                epoch = max(self.manifest.epoch, self._log_end.epoch) + 1
                self._log = LogWriter.resume(self.directory, self._log_end, epoch, owner_of(self.manifest.uuid))
            self._log_schema = None
        return self._log

    def sync(self, lsn: int | None = None) -> None:
        """Return when every record up to `lsn` (default: all) is durable and visible."""
        log = self._log
        if log is None:
            return
        target = log.last_lsn if lsn is None else lsn
        # A log that is rotated meanwhile is durable as a whole, and says so even when it is closed.
        with self._poison:
            durable = log.sync(target)
        self._publish(durable)

    def _publish(self, lsn: int) -> None:
        with self._publishing:
            while self._pending and self._pending[0][0] <= lsn:
                self.view = self._pending.popleft()[1]

    # ---- memtable and manifest

    def freeze(self) -> FrozenMemtable | None:
        """End the active memtable and its log, durably; None when the log holds nothing. REQUIRES: mutex held."""
        if self.unsealed_records == 0:
            return None
        self.sync()
        log = self.open_log()
        with self._poison:
            self._log = log.rotate()
        self._log_schema = None
        return self.state.freeze(self._log.seq)

    @property
    def unsealed_records(self) -> int:
        """Log records that no segment or frozen memtable covers: rows, or deletes only."""
        covered = self.state.frozen[-1].last_lsn if self.state.frozen else self.manifest.lsn
        return self.state.lsn - covered

    def commit_segments(
        self,
        gone: Sequence[str],
        came: Sequence[SegmentPart],
        *,
        sealed: FrozenMemtable | None = None,
        schema: pa.Schema | None = None,
        config: CollectionConfig | None = None,
    ) -> None:
        """Swap segments in one manifest commit (rule 1), then retire what nobody needs. REQUIRES: mutex held.

        The dead rows written with it include every change up to now, so the log is made durable first: a manifest
        never shows half of a record whose other half could still be lost.
        """
        self.check_writable()
        self.sync()
        state = self.state
        state.replace_segments(gone, came)
        if sealed is not None:
            state.frozen.remove(sealed)
        if schema is not None:
            state.schema = schema
        if config is not None:
            self.config = config
        with self._poison:
            entries = tuple(self._entry(part) for part in state.segments)
            first_log, lsn = self.manifest.log_first_seq, self.manifest.lsn
            if sealed is not None:
                first_log, lsn = sealed.next_log, sealed.last_lsn
            previous = self.manifest
            self.manifest = commit_manifest(
                self.directory,
                replace(
                    previous,
                    number=previous.number + 1,
                    config=self.config.to_dict(),
                    schema=encode_schema(state.schema),
                    id_type=id_type(state.schema),
                    epoch=self._log.epoch if self._log is not None else previous.epoch,
                    previous_digest=previous.digest,
                    created_at=time.time_ns() // 1000,
                    next_row=state.next_row,
                    segments=entries,
                    log_first_seq=first_log,
                    lsn=lsn,
                ),
            )
            with self._publishing:  # a thread whose fsync has just returned may be publishing its own view
                self._pending.clear()
                self.view = state.view()
        if sealed is not None:
            self.last_flush = self.manifest.created_at
        if gone and set(gone) != {part.id for part in came}:  # not only a graph that was built for a segment
            self.last_merge = self.manifest.created_at
        self._previous = previous
        self.files.retire(previous, self.manifest)

    def commit_again(self) -> None:
        """Commit the same version once more, so that both generations kept name the same files and all others go.

        What was deleted is then in no file any more, and no segment that was merged away takes space.
        REQUIRES: mutex held.
        """
        self.commit_segments([], [])

    def retire_files(self) -> None:
        """Try again to unlink what could not go when it was retired."""
        with self.mutex:
            if self.files.waiting and self._previous is not None:
                self.files.retire(self._previous, self.manifest)

    def _entry(self, part: SegmentPart) -> SegmentEntry:
        entry = part.segment.entry
        if part.dead.count == (entry.dead.count if entry.dead else 0):
            return entry
        entry = write_dead(self.directory, entry, self.manifest.number + 1, part.dead)
        part.segment.entry = entry
        return entry

    # ---- life

    @property
    def forked(self) -> bool:
        """This is a child of the process that opened the collection: locks, threads and files are the parent's."""
        return self._pid != os.getpid()

    def check_open(self) -> None:
        if self.forked:
            raise ClosedError(
                f"the collection {self.config.name!r} was opened by the parent of this process; connect again here, "
                "with read_only=True while the parent writes"
            )
        if self._closed:
            raise ClosedError("the collection is closed; open it again with connect(...).collection(...)")

    def check_model(self, rows: CollectionConfig) -> None:
        """Refuse rows whose vectors were checked against another config. REQUIRES: mutex held."""
        if rows.embedding is not self.config.embedding:
            raise ModelChangedError(
                f"{self.config.name!r} was changed over to another embedding model while this write was under way; nothing "
                "was written: make the vectors with the new model, and write again"
            )

    def check_writable(self) -> None:
        self.check_open()
        if (failure := self._poison.error) is not None:
            raise StorageError(
                f"an earlier write failed ({failure}); what reached the disk is unknown. "
                "Close the collection and open it again: acknowledged rows are safe"
            ) from failure

    @property
    def failed(self) -> bool:
        return self._poison.error is not None

    def close(self) -> None:
        """Make what was written durable, and stop; StorageError if that is no longer possible. Idempotent."""
        with self.mutex:
            if self._closed:
                return
            try:
                log = self._log
                if self._poison.error is None or (
                    log is not None and log.durable_lsn < log.last_lsn and self._unsynced
                ):
                    self.sync()
            finally:
                self._closed = True
                if self._log is not None:
                    try:
                        self._log.close()
                    except NearrowError:
                        if self._poison.error is None:
                            raise

    @property
    def _unsynced(self) -> bool:
        """Writes return before they are durable, so that only close() can tell that they never will be."""
        return self.config.durability != "full"
