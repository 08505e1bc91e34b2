"""Merge: how do several segments become one, and how does a segment get its graph?

Everything heavy happens on immutable inputs without the mutex. The commit compares with the state of that moment and
marks dead what died meanwhile (rule 10), so writers and readers never wait for a merge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa

from nearrow.index.hnsw import Graph
from nearrow.segment.deletes import DeadRows
from nearrow.segment.format import GRAPH_FILE
from nearrow.segment.part import SegmentPart
from nearrow.segment.reader import Segment
from nearrow.segment.rows import Positions, fill_columns
from nearrow.segment.view import ROW, View
from nearrow.segment.writer import write_graph, write_segment
from nearrow.write.core import Core
from nearrow.write.merge_policy import SegmentSize
from nearrow.write.seal import alive_batches

Cancelled = Callable[[], bool]
Progress = Callable[[int, int], None]

TAKE_ROWS = 8192


def sizes(core: Core) -> list[SegmentSize]:
    """What the merge policy looks at."""
    with core.mutex:
        parts = list(core.state.segments)
    return [SegmentSize(p.id, p.rows, p.alive_count, p.graph is not None) for p in parts]


def merge_segments(core: Core, ids: Sequence[str], *, threads: int, cancelled: Cancelled, progress: Progress) -> None:
    """Replace these segments by one with their alive rows, ascending by row number, and its graph."""
    with core.mutex:
        old = [part for part in core.state.segments if part.id in ids]
        schema = core.state.schema
    if not old:
        return
    with core.new_segment_id() as segment_id:
        merged = _write_merged(core, segment_id, old, schema)
        if merged is not None and merged.rows >= core.config.graph_rows_min:
            graph = _merged_graph(core, old, merged, threads, cancelled, progress)
            merged = with_graph(core, merged, graph, core.state.schema)
        with core.mutex:
            came = []
            if merged is not None:
                came = [kill_those_that_died(core, old, SegmentPart(merged, DeadRows.none(merged.rows)))]
            core.commit_segments([part.id for part in old], came)


def build_graph(core: Core, segment_id: str, *, threads: int, cancelled: Cancelled, progress: Progress) -> None:
    """Give a segment its graph."""
    with core.mutex:
        part = next((p for p in core.state.segments if p.id == segment_id), None)
    if part is None or part.graph is not None:
        return
    if GRAPH_FILE in part.segment.entry.files:  # damaged, and a published file is never replaced: into a new segment
        merge_segments(core, [segment_id], threads=threads, cancelled=cancelled, progress=progress)
        return
    graph = fresh_graph(core, part.segment, threads, cancelled, progress)
    with core.protect(part.segment.entry.folder):
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


def merge_all(core: Core, *, threads: int, cancelled: Cancelled, progress: Progress) -> None:
    """One segment, no dead rows, its graph complete."""
    found = sizes(core)
    if len(found) > 1 or any(size.alive < size.rows for size in found):
        merge_segments(core, [size.id for size in found], threads=threads, cancelled=cancelled, progress=progress)
    for size in sizes(core):
        if not size.has_graph and size.rows >= core.config.graph_rows_min:
            build_graph(core, size.id, threads=threads, cancelled=cancelled, progress=progress)


def _write_merged(core: Core, segment_id: str, old: Sequence[SegmentPart], schema: pa.Schema) -> Segment | None:
    if all(part.alive_count == 0 for part in old):
        return None
    entry = write_segment(core.directory, segment_id, _merged_batches(old, schema))
    return Segment.open(core.directory, entry, schema, metric=core.config.metric)


def _merged_batches(old: Sequence[SegmentPart], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    ordered = sorted(old, key=lambda part: part.segment.entry.min_row)
    apart = all(a.segment.entry.max_row < b.segment.entry.min_row for a, b in pairwise(ordered))
    if apart:
        for part in ordered:
            yield from alive_batches(part, schema)
        return
    full = schema.insert(0, pa.field(ROW, pa.uint64()))
    view = View(tuple(ordered), full, 0, 0)
    owners = np.concatenate([np.full(part.alive_count, index, np.int32) for index, part in enumerate(ordered)])
    positions = np.concatenate([part.dead.alive_positions() for part in ordered])
    numbers = np.concatenate([part.row_numbers_at(part.dead.alive_positions()) for part in ordered])
    order = np.argsort(numbers, kind="stable")
    for start in range(0, len(order), TAKE_ROWS):
        piece = order[start : start + TAKE_ROWS]
        table = view.take(owners[piece], positions[piece], full.names)
        yield from fill_columns(table, full).combine_chunks().to_batches()


def _merged_graph(
    core: Core, old: Sequence[SegmentPart], merged: Segment, threads: int, cancelled: Cancelled, progress: Progress
) -> Graph:
    """Extend the largest graph, if it covers enough of the rows; else build anew."""
    base = max(old, key=lambda part: part.alive_count if part.graph is not None else -1)
    if base.graph is None or base.alive_count < merged.rows // 2:
        return fresh_graph(core, merged, threads, cancelled, progress)
    numbers = base.row_numbers_at(base.all_positions())
    positions = merged.locate(numbers).astype(np.int32)
    return base.graph.merge(
        merged.vectors, positions, threads=threads, seed=core.config.seed, progress=progress, cancelled=cancelled
    )


def fresh_graph(core: Core, segment: Segment, threads: int, cancelled: Cancelled, progress: Progress) -> Graph:
    """A graph over the segment's vectors, as the collection's config says."""
    config = core.config
    return Graph.build(
        segment.vectors,
        metric=config.metric,
        m=config.m,
        ef_construction=config.ef_construction,
        ml=config.ml,
        codes=config.code_width,
        threads=threads,
        seed=config.seed,
        progress=progress,
        cancelled=cancelled,
    )


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
