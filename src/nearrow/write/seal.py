"""Seal: how does a full memtable become a segment?

The rows that are alive when sealing starts are written to a new segment, without holding the mutex; those that died
meanwhile are marked dead in the same commit. The log files that only held these rows are retired with it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from nearrow.segment.deletes import DeadRows
from nearrow.segment.part import SegmentPart
from nearrow.segment.reader import Segment
from nearrow.segment.rows import fill_columns
from nearrow.segment.view import ROW, Part, alive_mask
from nearrow.segment.writer import write_segment
from nearrow.write.core import Core
from nearrow.write.record import RowNumbers
from nearrow.write.state import FrozenMemtable

COPY_ROWS = 8192


def seal_oldest(core: Core) -> bool:
    """Seal the oldest frozen memtable; False when there is none. Waits if another thread is sealing it."""
    frozen = _claim(core)
    if frozen is None:
        return False
    try:
        with core.files.new_segment() as segment_id:
            part = _write(core, frozen, segment_id)
            with core.mutex:
                came = [] if part is None else [_kill_those_that_died(part, frozen)]
                core.commit_segments([], came, sealed=frozen)
    finally:
        with core.mutex:
            frozen.claimed = False
            core.idle.notify_all()
    return True


def _claim(core: Core) -> FrozenMemtable | None:
    with core.mutex:
        while core.state.frozen:
            frozen = core.state.frozen[0]
            if not frozen.claimed:
                frozen.claimed = True
                return frozen
            core.idle.wait()
    return None


def _write(core: Core, frozen: FrozenMemtable, segment_id: str) -> SegmentPart | None:
    with core.mutex:
        part = frozen.memtable.part()
        schema = core.state.schema
    if part.alive_count == 0:
        return None
    entry = write_segment(core.directory, segment_id, alive_batches(part, schema), batch_bytes=core.budget.batch_bytes)
    segment = Segment.open(core.directory, entry, schema, metric=core.config.metric)
    return SegmentPart(segment, DeadRows.none(segment.rows))


def _kill_those_that_died(part: SegmentPart, frozen: FrozenMemtable) -> SegmentPart:
    """Rows of the segment that are no longer alive in the memtable."""
    numbers: RowNumbers = part.row_numbers_at(part.all_positions())
    memtable = frozen.memtable
    alive = memtable.only_alive(memtable.locate(numbers)) >= 0
    return part.with_dead(part.all_positions()[~alive])


def alive_batches(part: Part, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The part's alive rows, `_row` first, with all columns of the user's schema; copied a few at a time, if at all."""
    start = 0
    for batch in part.batches:
        full = schema.insert(0, batch.schema.field(ROW))
        mask = alive_mask(part.alive, start, batch.num_rows)
        start += batch.num_rows
        step = batch.num_rows if mask is None else COPY_ROWS
        for first in range(0, batch.num_rows, max(1, step)):
            rows = batch.slice(first, step)
            if mask is not None:
                rows = rows.filter(pa.array(mask[first : first + step]))
            if rows.num_rows:
                yield from fill_columns(pa.Table.from_batches([rows]), full).combine_chunks().to_batches()
