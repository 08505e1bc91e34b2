"""Reembed: how do all rows get new vectors, of another model, while others write and search?

Like a merge, it writes new segments from immutable ones without the mutex, each row under its own row number, so that
text index and deletes keep their meaning. What was written meanwhile is done in a next round; only the last, small one
keeps writers waiting. One manifest commit then changes vectors, graphs and config together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack

import pyarrow as pa

from nearrow.schema import VECTOR_COLUMN, CollectionConfig
from nearrow.schema.vectors import vector_type
from nearrow.segment.deletes import DeadRows
from nearrow.segment.part import SegmentPart
from nearrow.segment.reader import Segment
from nearrow.segment.writer import write_segment
from nearrow.write.background import Background
from nearrow.write.core import Core
from nearrow.write.effort import Effort, cpu_threads, directly
from nearrow.write.merge import fresh_graph, kill_those_that_died, with_graph
from nearrow.write.seal import alive_batches, seal_oldest

NewVectors = Callable[[pa.RecordBatch], pa.Array]
"""Rows → their new vectors, FixedSizeList of the new dimension."""

LAST_ROUND_ROWS = 512
"""So few rows are embedded while writers wait."""
ROUNDS_MAX = 20
EMBED_ROWS = 4096


class Reembedding:
    """One change of model: the segments that are done, and what they replace."""

    def __init__(self, core: Core, config: CollectionConfig, vectors: NewVectors, stack: ExitStack) -> None:
        self._core = core
        self._config = config
        self._vectors = vectors
        self._stack = stack  # keeps the new folders from retirement, and removes them if an error comes
        self._done: dict[str, tuple[SegmentPart, SegmentPart | None]] = {}  # id → the part as it was, the new one

    def round(self) -> int:
        """Write what is not done yet; returns how many rows that were."""
        rows = 0
        for part in self.waiting():
            schema = self.schema()
            new = self._rewritten(part, schema) if part.alive_count else None
            self._done[part.id] = (part, new)
            rows += part.alive_count
        return rows

    def waiting(self) -> list[SegmentPart]:
        """The segments that are not done yet, once all rows are in segments."""
        core = self._core
        with core.mutex:
            core.freeze()
            while seal_oldest(core):
                pass
            return [part for part in core.state.segments if part.id not in self._done]

    def schema(self) -> pa.Schema:
        """The collection's schema of this moment with the new type of vectors."""
        schema = self._core.state.schema
        position = schema.get_field_index(VECTOR_COLUMN)
        return schema.set(position, pa.field(VECTOR_COLUMN, vector_type(self._config)))

    def commit(self) -> int:
        """Put the new segments in the place of the old ones. Returns how many rows are alive. REQUIRES: mutex held."""
        core, schema = self._core, self.schema()
        came = []
        for old, new in self._done.values():
            if new is not None:
                came.append(kill_those_that_died(core, [old], new))
        core.commit_segments(list(self._done), came, schema=schema, config=self._config)
        return sum(part.alive_count for part in came)

    def _rewritten(self, part: SegmentPart, schema: pa.Schema) -> SegmentPart:
        core = self._core
        segment_id = self._stack.enter_context(core.files.new_segment())
        entry = write_segment(core.directory, segment_id, self._batches(part, schema))
        segment = Segment.open(core.directory, entry, schema, metric=core.config.metric)
        if segment.rows >= core.config.graph_rows_min:
            graph = fresh_graph(core, segment, Effort(cpu_threads(), directly, lambda: False, lambda done, total: None))
            segment = with_graph(core, segment, graph, schema)
        return SegmentPart(segment, DeadRows.none(segment.rows))

    def _batches(self, part: SegmentPart, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        for whole in alive_batches(part, self._core.state.schema):
            for start in range(0, whole.num_rows, EMBED_ROWS):
                batch = whole.slice(start, EMBED_ROWS)
                position = batch.schema.get_field_index(VECTOR_COLUMN)
                field = schema.field(VECTOR_COLUMN)
                yield batch.set_column(position, field, self._vectors(batch))


def reembed_rows(
    core: Core,
    background: Background,
    config: CollectionConfig,
    vectors: NewVectors,
    changing: Callable[[], AbstractContextManager[None]],
) -> int:
    """Give every row a new vector and the collection a new config; `changing()` is entered around the commit."""
    with background.paused(), ExitStack() as stack:
        work = Reembedding(core, config, vectors, stack)
        for _ in range(ROUNDS_MAX):
            if work.round() <= LAST_ROUND_ROWS:
                break
        with core.mutex:
            work.round()
            with changing():
                return work.commit()
