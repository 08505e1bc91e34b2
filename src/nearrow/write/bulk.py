"""Bulk: how do many rows become one segment, without passing through log and memtable?

The rows stream into a new segment file, so memory stays bounded; nothing refers to it until one manifest commit makes
all of them visible at once and, for an upsert, their old versions dead. A crash before leaves an unreferenced folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from nearrow.errors import AlreadyExistsError
from nearrow.schema import CollectionConfig, duplicate_positions, evolve, last_of_each
from nearrow.segment.deletes import DeadRows
from nearrow.segment.format import ROWS_FILE, segment_file, segment_folder
from nearrow.segment.part import SegmentPart
from nearrow.segment.reader import Segment
from nearrow.segment.view import ROW
from nearrow.segment.writer import write_segment
from nearrow.write.core import Core
from nearrow.write.record import RowNumbers
from nearrow.write.seal import seal_oldest
from nearrow.write.state import NO_ROWS, State

Advance = Callable[[int], None]
"""Told how many more rows were written."""


@dataclass
class BulkResult:
    rows: int
    replaced: int


def bulk_write(
    core: Core,
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    *,
    refuse_existing: bool,
    advance: Advance,
    config: CollectionConfig | None = None,
) -> BulkResult:
    """Write canonical batches as one atomic unit. An existing or repeated id: refused, or the last one wins.

    config: the one that the rows were checked against, if it may have changed since.
    """
    with ExitStack() as stack:
        segment_id = stack.enter_context(core.new_segment_id())
        numbered = _numbered(core, batches, advance, stack.enter_context(core.reserving()))
        try:
            entry = write_segment(core.directory, segment_id, numbered)
        except AlreadyExistsError:
            if refuse_existing:
                raise
            repeated, segment_id = segment_id, stack.enter_context(core.new_segment_id())
            entry = write_segment(core.directory, segment_id, _last_versions(core, repeated))
            core.directory.remove_folder(segment_folder(repeated))
        with core.mutex:
            core.check_model(config or core.config)
            schema = evolve(core.state.schema, schema)
            segment = Segment.open(core.directory, entry, schema, metric=core.config.metric)
            return _commit(core, segment, schema, refuse_existing)


def _last_versions(core: Core, segment_id: str) -> Iterator[pa.RecordBatch]:
    """The rows of an unfinished segment in which ids repeat: the last one of each."""
    file = pa.ipc.open_file(core.directory.map(segment_file(segment_id, ROWS_FILE)))
    batches = [file.get_batch(index) for index in range(file.num_record_batches)]
    ids = pa.chunked_array([batch.column("id") for batch in batches])
    keep = np.zeros(len(ids), np.bool_)
    keep[last_of_each(ids)] = True
    start = 0
    for batch in batches:
        yield batch.replace_schema_metadata(None).filter(pa.array(keep[start : start + batch.num_rows]))
        start += batch.num_rows


def _commit(core: Core, segment: Segment, schema: pa.Schema, refuse_existing: bool) -> BulkResult:
    """REQUIRES: mutex held."""
    core.check_writable()
    replaced = _old_versions(core.state, segment)
    while len(replaced) and not refuse_existing and _in_memtable(core.state, replaced):
        # a manifest can kill rows of segments only: what the log holds must become a segment first
        core.freeze()
        while seal_oldest(core):
            pass
        replaced = _old_versions(core.state, segment)
    if len(replaced) and refuse_existing:
        identifier = _first_existing(core.state, segment)
        raise AlreadyExistsError(f"id {identifier!r} exists already; nothing was written (upsert() replaces rows)")
    core.state.kill(replaced)
    part = SegmentPart(segment, DeadRows.none(segment.rows))
    core.commit_segments([], [part], schema=schema)
    return BulkResult(part.alive_count, len(replaced))


def _old_versions(state: State, segment: Segment) -> RowNumbers:
    if state.count == 0:
        return NO_ROWS
    return np.concatenate([NO_ROWS, *(state.find(batch.column("id"))[0] for batch in segment.batches)])


def _first_existing(state: State, segment: Segment) -> object:
    for batch in segment.batches:
        _, found = state.find(batch.column("id"))
        if found.any():
            return batch.column("id")[int(np.flatnonzero(found)[0])].as_py()
    return None


def _in_memtable(state: State, rows: RowNumbers) -> bool:
    return any((memtable.locate(rows) >= 0).any() for memtable in state.memtables())


def _numbered(
    core: Core, batches: Iterable[pa.RecordBatch], advance: Advance, reserve: Callable[[int], int]
) -> Iterator[pa.RecordBatch]:
    """The batches with row numbers, reserved as they come."""
    for batch in batches:
        if batch.num_rows == 0:
            continue
        first = reserve(batch.num_rows)
        numbers = pa.array(np.arange(first, first + batch.num_rows, dtype=np.uint64))
        schema = batch.schema.insert(0, pa.field(ROW, pa.uint64()))
        yield pa.RecordBatch.from_arrays([numbers, *batch.columns], schema=schema)
        advance(batch.num_rows)


def check_unique(ids: pa.Array) -> None:
    """Refuse ids that stand more than once in one batch."""
    repeated = duplicate_positions(ids)
    if len(repeated):
        identifier = ids[int(repeated[0])].as_py()
        raise AlreadyExistsError(f"id {identifier!r} stands more than once in the rows; nothing was written")
