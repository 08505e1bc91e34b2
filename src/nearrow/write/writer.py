"""Writer: which verbs change a collection?

Few rows go through log and memtable; many become a segment directly. Each call is one atomic unit. Thread-safe.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from typing import Any

import pyarrow as pa

from nearrow.schema import CollectionConfig, Rows, batches, last_of_each
from nearrow.segment.view import View
from nearrow.storage.manifest import Manifest
from nearrow.write.background import Background
from nearrow.write.bulk import Advance, bulk_write, check_unique
from nearrow.write.core import Core
from nearrow.write.effort import Effort, Progress, directly, quiet_threads
from nearrow.write.merge import merge_all
from nearrow.write.record import Change, RowNumbers
from nearrow.write.reembed import NewVectors, reembed_rows
from nearrow.write.resolver import Operation, Resolver
from nearrow.write.seal import seal_oldest
from nearrow.write.state import State
from nearrow.write.texts import WriterTexts

LEASE_SECONDS = 0.01
LEASE_SECONDS_MAX = 5.0
FROZEN_MAX = 3
"""More full memtables than this wait for their segment: writes wait too, so that memory stays bounded."""


class Writer:
    """The one writer of a collection."""

    def __init__(self, core: Core, background: Background, release: Callable[[], None]) -> None:
        """`release` gives the collection's lock back."""
        self.core = core
        self.background = background
        self.texts = WriterTexts(core) if core.config.text_fields else None
        background.texts = self.texts
        self._memtable_bytes = core.budget.memtable_bytes(core.config)
        self._release = release
        self.check_open = core.check_open
        """ClosedError if it is closed, or was opened by the parent of this process."""

    @property
    def view(self) -> View:
        return self.core.view

    @property
    def config(self) -> CollectionConfig:
        return self.core.config

    def refresh(self) -> None:
        """The writer's view is always the newest."""
        self.check_open()

    @property
    def manifest(self) -> Manifest:
        return self.core.manifest

    @property
    def state(self) -> State:
        return self.core.state

    def put(self, rows: Rows, *, refuse_existing: bool, advance: Advance) -> int:
        """Add or upsert. Returns how many rows were written."""
        head: list[pa.RecordBatch] = []
        batches = iter(rows)
        for batch in batches:
            head.append(batch)
            if self._is_bulk(head):
                result = bulk_write(
                    self.core,
                    _last_of_each_batch(chain(head, batches), refuse_existing),
                    rows.schema,
                    refuse_existing=refuse_existing,
                    advance=advance,
                    config=rows.config,
                )
                self.background.wake()
                return result.rows
        count = self.apply([lambda resolver: put_into(resolver, head, rows.schema, refuse_existing)], rows.config)
        advance(count)
        return count

    def _is_bulk(self, batches: Sequence[pa.RecordBatch]) -> bool:
        rows = sum(batch.num_rows for batch in batches)
        if rows > self.config.memtable_rows:
            return True
        if sum([batch.get_total_buffer_size() for batch in batches]) <= self._memtable_bytes:
            return False  # known at once; exactly (of slices, too) it takes longer
        return sum(batch.nbytes for batch in batches) > self._memtable_bytes

    def update(self, rows: Rows) -> int:
        """Change some columns of rows that exist. Returns how many."""
        given = list(rows)
        return self.apply([lambda resolver: update_into(resolver, given, rows.schema)], rows.config)

    def delete(self, ids: pa.Array) -> int:
        """Delete rows by id. Returns how many went."""
        return self.apply([lambda resolver: resolver.delete(ids)])

    def delete_where(self, matching: Callable[[View], RowNumbers]) -> int:
        """Delete the rows that `matching` finds. Returns how many went."""
        return self.apply([lambda resolver: resolver.delete_rows(matching(self.core.state.view()))])

    def update_where(self, matching: Callable[[View], RowNumbers], values: dict[str, Any]) -> int:
        """Give the rows that `matching` finds new values, each column the same for all. Returns how many."""

        def update(resolver: Resolver) -> int:
            view = self.core.state.view()
            owner, position = view.locate(matching(view))
            if len(owner) == 0:
                return 0
            found = view.take(owner, position, ["id"])
            columns = {name: [value] * len(owner) for name, value in values.items()}
            rows = {"id": found.column("id").combine_chunks(), **columns}
            checked = batches(rows, config=self.config, schema=self.core.state.schema, partial=True)
            return update_into(resolver, list(checked), checked.schema)

        return self.apply([update])

    def apply(self, operations: Sequence[Operation], config: CollectionConfig | None = None) -> int:
        """All operations as one atomic change. Returns how many rows they concerned.

        config: the one that rows were checked against; ModelChangedError if their vectors are of an older model.
        """
        concerned = 0

        def resolve(state: State) -> tuple[Change, pa.Schema] | None:
            nonlocal concerned
            if config is not None:
                self.core.check_model(config)
            resolver = Resolver(state)
            concerned = sum(operation(resolver) for operation in operations)
            change = resolver.change()
            return None if change is None else (change, resolver.schema)

        self.core.check_writable()
        self.core.write(resolve)
        if self.config.durability == "batched":
            self.background.wake_sync()
        self.background.watch()
        self._seal_if_full()
        return concerned

    def _seal_if_full(self) -> None:
        core = self.core
        with core.mutex:
            active = core.state.active
            size = max(active.rows, core.unsealed_records)  # deletes bring no rows, but replaying them takes time, too
            if size < core.config.memtable_rows and active.bytes < self._memtable_bytes:
                return
            core.freeze()
        self.background.wake()
        with core.mutex:
            while len(core.state.frozen) > FROZEN_MAX and self.background.healthy:
                core.idle.wait(1.0)

    def flush(self) -> None:
        """Every row is in a segment when this returns; the log is empty."""
        core = self.core
        with core.mutex:
            core.check_writable()
            core.freeze()
        while seal_oldest(core):
            pass
        self.background.wake()

    def compact(self, progress: Progress) -> None:
        """Merge everything into one segment without dead rows, with its graph; what was deleted is in no file then."""
        self.flush()
        with self.background.paused():
            merge_all(self.core, Effort(quiet_threads(), directly, self.background.stopping, progress))
        if self.texts is not None:
            self.texts.purge()
        with self.core.mutex:
            self.core.commit_again()
        deadline = time.monotonic() + LEASE_SECONDS_MAX
        while self.core.files.waiting and time.monotonic() < deadline:  # a reader is opening its files right now
            time.sleep(LEASE_SECONDS)
            self.core.retire_files()
        self.background.wake()  # for what still waits

    def reembed(
        self, config: CollectionConfig, vectors: NewVectors, changing: Callable[[], AbstractContextManager[None]]
    ) -> int:
        """Give every row a new vector and the collection the config of the model that made it. Returns how many."""
        self.core.check_writable()
        return reembed_rows(self.core, self.background, config, vectors, changing)

    def index_texts(self, progress: Progress) -> None:
        """Return when the text index holds every row, durably."""
        if self.texts is None:
            return
        self.texts.progress = progress
        try:
            self.core.check_open()
            self.texts.sync()
        finally:
            self.texts.progress = None

    def wait(self, progress: Progress) -> None:
        """Return when no background work is left; raises what it failed with."""
        self.background.wait(progress)

    def close(self, *, wait: bool) -> None:
        """Make everything durable and stop. wait=False leaves unfinished graphs to the next open."""
        if self.core.forked:
            return  # threads, locks and files are the parent's
        try:
            self.background.stop(finish=wait)
            if self.texts is not None:
                self.texts.close()
            self.core.close()
        finally:
            self._release()


def put_into(resolver: Resolver, batches: Sequence[pa.RecordBatch], schema: pa.Schema, refuse_existing: bool) -> int:
    """Batches as one put: repeated ids among them are refused, or the last one wins."""
    if not batches:
        return 0
    rows = batches[0] if len(batches) == 1 else pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
    return resolver.put(unique_rows(rows, refuse_existing), schema, refuse_existing=refuse_existing)


def update_into(resolver: Resolver, batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> int:
    return sum(resolver.update(unique_rows(batch, False), schema) for batch in batches)


def unique_rows(batch: pa.RecordBatch, refuse_repeated: bool) -> pa.RecordBatch:
    """The batch with every id once."""
    if batch.num_rows <= 1:
        return batch
    if refuse_repeated:
        check_unique(batch.column("id"))
        return batch
    last = last_of_each(batch.column("id"))
    return batch if len(last) == batch.num_rows else batch.take(pa.array(last))


def _last_of_each_batch(batches: Iterable[pa.RecordBatch], refuse_repeated: bool) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield unique_rows(batch, refuse_repeated)
