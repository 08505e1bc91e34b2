"""Merge: how do several segments become one, and how does a segment get its graph?

Everything heavy happens on immutable inputs without the mutex. The commit compares with the state of that moment and
marks dead what died meanwhile (rule 10), so writers and readers never wait for a merge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from heapq import heappop, heappush

import numpy as np
import pyarrow as pa

from nearrow.index.hnsw import Graph
from nearrow.segment.deletes import DeadRows
from nearrow.segment.format import GRAPH_FILE
from nearrow.segment.part import SegmentPart
from nearrow.segment.reader import Segment
from nearrow.segment.rows import Positions
from nearrow.segment.writer import write_graph, write_segment
from nearrow.write.core import Core
from nearrow.write.effort import Effort
from nearrow.write.merge_policy import SegmentSize
from nearrow.write.seal import alive_batches
from nearrow.write.space import check_space, graph_bytes, merge_bytes


def sizes(core: Core) -> list[SegmentSize]:
    """What the merge policy looks at."""
    with core.mutex:
        parts = list(core.state.segments)
    return [SegmentSize(p.id, p.rows, p.alive_count, p.graph is not None) for p in parts]


def merge_segments(core: Core, ids: Sequence[str], effort: Effort) -> None:
    """Replace these segments by one with their alive rows, ascending by row number, and its graph.

    StorageError, before anything is written, if the disk has no room for it. Afterwards no file names what is dead.
    """
    with core.mutex:
        old = [part for part in core.state.segments if part.id in ids]
        schema = core.state.schema
    if not old:
        return
    check_space(core.directory, merge_bytes(old, core.config), f"merging {len(old)} segments of {core.config.name!r}")
    with core.files.new_segment() as segment_id:
        merged = _write_merged(core, segment_id, old, schema)
        if merged is not None and merged.rows >= core.config.graph_rows_min:
            merged = with_graph(core, merged, _merged_graph(core, old, merged, effort), core.state.schema)
        with core.mutex:
            came = []
            if merged is not None:
                came = [kill_those_that_died(core, old, SegmentPart(merged, DeadRows.none(merged.rows)))]
            core.commit_segments([part.id for part in old], came)
    with core.mutex:
        core.commit_again()


def build_graph(core: Core, segment_id: str, effort: Effort) -> None:
    """Give a segment its graph. StorageError, before anything is built, if the disk has no room for it."""
    with core.mutex:
        part = next((p for p in core.state.segments if p.id == segment_id), None)
    if part is None or part.graph is not None:
        return
    if GRAPH_FILE in part.segment.entry.files:  # damaged, and a published file is never replaced: into a new segment
        merge_segments(core, [segment_id], effort)
        return
    check_space(core.directory, graph_bytes(part.rows, core.config), f"the graph of {core.config.name!r}")
    graph = fresh_graph(core, part.segment, effort)
    with core.files.protect(part.segment.entry.folder):
        segment = with_graph(core, part.segment, graph, core.state.schema)
        with core.mutex:
            now = next((p for p in core.state.segments if p.id == segment_id), None)
            if now is not None:
                segment.entry = replace(segment.entry, dead=now.segment.entry.dead)
                core.commit_segments([segment_id], [now.with_segment(segment)])


def with_graph(core: Core, segment: Segment, graph: Graph, schema: pa.Schema) -> Segment:
    """The segment with its graph written beside it, opened from the file."""
    entry = write_graph(core.directory, segment.entry, graph.buffers())
    return Segment.open(core.directory, entry, schema, metric=core.config.metric)


def merge_all(core: Core, effort: Effort) -> None:
    """No dead rows, every graph complete, and as few segments as memory allows: one, as a rule."""
    rows_max = core.budget.segment_rows_max(core.config)
    group: list[str] = []
    alive = 0
    for size in sorted(sizes(core), key=lambda size: size.alive):
        if group and alive + size.alive > rows_max:
            _merge_if_needed(core, group, effort)
            group, alive = [], 0
        group.append(size.id)
        alive += size.alive
    _merge_if_needed(core, group, effort)
    for size in sizes(core):
        if not size.has_graph and size.rows >= core.config.graph_rows_min:
            build_graph(core, size.id, effort)


def _merge_if_needed(core: Core, ids: Sequence[str], effort: Effort) -> None:
    if len(ids) > 1 or any(size.alive < size.rows for size in sizes(core) if size.id in ids):
        merge_segments(core, ids, effort)


def _write_merged(core: Core, segment_id: str, old: Sequence[SegmentPart], schema: pa.Schema) -> Segment | None:
    if all(part.alive_count == 0 for part in old):
        return None
    entry = write_segment(core.directory, segment_id, _merged_batches(old, schema), batch_bytes=core.budget.batch_bytes)
    return Segment.open(core.directory, entry, schema, metric=core.config.metric)


def _merged_batches(old: Sequence[SegmentPart], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The alive rows of all parts, ascending by row number: from the part that has the lowest, up to the next one's."""
    streams = [alive_batches(part, schema) for part in old]
    waiting: list[tuple[int, int, pa.RecordBatch]] = []  # (lowest row number, stream, batch): numbers are unique

    def draw(index: int) -> None:
        batch = next(streams[index], None)
        if batch is not None:
            heappush(waiting, (batch.column(0)[0].as_py(), index, batch))

    for index in range(len(streams)):
        draw(index)
    while waiting:
        _, index, batch = heappop(waiting)
        numbers = batch.column(0).to_numpy()
        end = int(np.searchsorted(numbers, waiting[0][0])) if waiting else len(numbers)
        yield batch.slice(0, end)
        if end < len(numbers):
            heappush(waiting, (int(numbers[end]), index, batch.slice(end)))
        else:
            draw(index)


def _merged_graph(core: Core, old: Sequence[SegmentPart], merged: Segment, effort: Effort) -> Graph:
    """Extend the largest graph, if it covers enough of the rows; else build anew."""
    base = max(old, key=lambda part: part.alive_count if part.graph is not None else -1)
    if base.graph is None or base.alive_count < merged.rows // 2:
        return fresh_graph(core, merged, effort)
    numbers = base.row_numbers_at(base.all_positions())
    positions = merged.locate(numbers).astype(np.int32)
    merge = partial(base.graph.merge, merged.vectors, positions, seed=core.config.seed)
    return _run(merge, effort)


def fresh_graph(core: Core, segment: Segment, effort: Effort) -> Graph:
    """A graph over the segment's vectors, as the collection's config says."""
    config = core.config
    build = partial(
        Graph.build,
        segment.vectors,
        metric=config.metric,
        m=config.m,
        ef_construction=config.ef_construction,
        ml=config.ml,
        codes=config.code_width,
        seed=config.seed,
    )
    return _run(build, effort)


def _run(build: Callable[..., Graph], effort: Effort) -> Graph:
    graph: Graph = effort.run(
        partial(build, threads=effort.threads, progress=effort.progress, cancelled=effort.cancelled)
    )
    return graph


def kill_those_that_died(core: Core, old: Sequence[SegmentPart], merged: SegmentPart) -> SegmentPart:
    """Mark dead in the merged segment what died in the old ones since `old` was looked at."""
    now = {part.id: part for part in core.state.segments}
    died: list[Positions] = []
    for part in old:
        later = now[part.id]
        if later.dead.count != part.dead.count:
            positions = np.setdiff1d(later.dead.positions(), part.dead.positions(), assume_unique=True)
            died.append(merged.locate(part.row_numbers_at(positions)))
    return merged.with_dead(np.concatenate(died)) if died else merged
