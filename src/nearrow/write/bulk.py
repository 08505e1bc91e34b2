"""Bulk: how do many rows become a segment, without passing through log and memtable?

The rows stream into a new segment file (several, if the memory budget could not hold the graph of one), so memory stays
bounded; nothing refers to them until one manifest commit makes all of them visible at once and, for an upsert, their old
versions dead. A crash before leaves an unreferenced folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
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
from nearrow.storage.manifest import SegmentEntry
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
    rows_max = core.budget.segment_rows_max(core.config)
    with ExitStack() as stack:
        numbered = _numbered(core, batches, advance, stack.enter_context(core.reservations.reserving()), rows_max)
        entries = []
        first = next(numbered, None)
        while first is not None:
            piece = _Piece(first, numbered, rows_max)
            entries.append(_write_piece(core, stack, piece, refuse_existing))
            first = piece.behind
        with core.mutex:
            core.check_model(config or core.config)
            schema = evolve(core.state.schema, schema)
            segments = [Segment.open(core.directory, entry, schema, metric=core.config.metric) for entry in entries]
            return _commit(core, segments, schema, refuse_existing)


class _Piece:
    """The batches of one segment: from `first` on, up to `rows_max` rows. Afterwards `behind` is the next one's first."""

    def __init__(self, first: pa.RecordBatch, others: Iterator[pa.RecordBatch], rows_max: int) -> None:
        self._others = others
        self._room = rows_max
        self.behind: pa.RecordBatch | None = first

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        while self.behind is not None and self.behind.num_rows <= self._room:
            self._room -= self.behind.num_rows
            yield self.behind
            self.behind = next(self._others, None)


def _write_piece(core: Core, stack: ExitStack, piece: _Piece, refuse_existing: bool) -> SegmentEntry:
    segment_id = stack.enter_context(core.files.new_segment())
    batch_bytes = core.budget.batch_bytes
    try:
        return write_segment(core.directory, segment_id, piece, batch_bytes=batch_bytes)
    except AlreadyExistsError:
        if refuse_existing:
            raise
        repeated, segment_id = segment_id, stack.enter_context(core.files.new_segment())
        entry = write_segment(core.directory, segment_id, _last_versions(core, repeated), batch_bytes=batch_bytes)
        core.directory.remove_folder(segment_folder(repeated))
        return entry


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


def _commit(core: Core, segments: Sequence[Segment], schema: pa.Schema, refuse_existing: bool) -> BulkResult:
    """REQUIRES: mutex held."""
    core.check_writable()
    parts = _last_of_each_segment(segments, refuse_existing)
    replaced = _old_versions(core.state, segments)
    while len(replaced) and not refuse_existing and _in_memtable(core.state, replaced):
        # a manifest can kill rows of segments only: what the log holds must become a segment first
        core.freeze()
        while seal_oldest(core):
            pass
        replaced = _old_versions(core.state, segments)
    if len(replaced) and refuse_existing:
        identifier = _first_existing(core.state, segments)
        raise AlreadyExistsError(f"id {identifier!r} exists already; nothing was written (upsert() replaces rows)")
    core.state.kill(replaced)
    core.commit_segments([], parts, schema=schema)
    return BulkResult(sum(part.alive_count for part in parts), len(replaced))


def _last_of_each_segment(segments: Sequence[Segment], refuse_repeated: bool) -> list[SegmentPart]:
    """The segments, in each of which ids are unique, as parts in which no id is alive twice: the last row counts."""
    parts = [SegmentPart(segment, DeadRows.none(segment.rows)) for segment in segments]
    for later, segment in enumerate(segments):
        for earlier in range(later):
            for batch in segment.batches:
                again = parts[earlier].find(batch.column("id"))
                again = again[again >= 0]
                if len(again) and refuse_repeated:
                    identifier = segments[earlier].ids_at(again[:1])[0]
                    raise AlreadyExistsError(
                        f"id {identifier!r} stands more than once in the rows; nothing was written"
                    )
                parts[earlier] = parts[earlier].with_dead(again)
    return parts


def _old_versions(state: State, segments: Sequence[Segment]) -> RowNumbers:
    if state.count == 0:
        return NO_ROWS
    ids = (batch.column("id") for segment in segments for batch in segment.batches)
    return np.unique(np.concatenate([NO_ROWS, *(state.find(one)[0] for one in ids)]))


def _first_existing(state: State, segments: Sequence[Segment]) -> object:
    for batch in (batch for segment in segments for batch in segment.batches):
        _, found = state.find(batch.column("id"))
        if found.any():
            return batch.column("id")[int(np.flatnonzero(found)[0])].as_py()
    return None


def _in_memtable(state: State, rows: RowNumbers) -> bool:
    return any((memtable.locate(rows) >= 0).any() for memtable in state.memtables())


def _numbered(
    core: Core, batches: Iterable[pa.RecordBatch], advance: Advance, reserve: Callable[[int], int], rows_max: int
) -> Iterator[pa.RecordBatch]:
    """The batches, none longer than `rows_max`, with row numbers, reserved as they come."""
    for batch in (given.slice(start, rows_max) for given in batches for start in range(0, given.num_rows, rows_max)):
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
