"""Restore: how do rows that were a collection before become one again, at once?

They become one segment, with the graph that they had if it is given; the collection exists when its first manifest,
which names that segment, does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import uuid4

import numpy as np
import pyarrow as pa

from nearrow.errors import AlreadyExistsError, CorruptionError
from nearrow.index.hnsw import Graph
from nearrow.schema import CollectionConfig
from nearrow.segment.reader import Segment
from nearrow.segment.view import ROW
from nearrow.segment.writer import write_graph, write_segment
from nearrow.storage.directory import Directory
from nearrow.storage.manifest import SegmentEntry
from nearrow.write.open import create


@dataclass(frozen=True)
class Restored:
    """Rows that lie in a folder, durable, but belong to no collection yet."""

    directory: Directory
    config: CollectionConfig
    schema: pa.Schema
    segments: tuple[SegmentEntry, ...]

    def publish(self) -> None:
        """Make the collection exist."""
        rows = sum(entry.rows for entry in self.segments)
        create(self.directory, self.config, schema=self.schema, segments=self.segments, next_row=rows)


def restore_rows(
    directory: Directory,
    config: CollectionConfig,
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    graph: pa.Buffer | None,
) -> Restored:
    """Write canonical batches, ids unique, and the graph over them in this order, into an empty folder."""
    numbered = _numbered(batches)
    first = next(numbered, None)
    if first is None:
        return Restored(directory, config, schema, ())
    try:
        entry = write_segment(directory, uuid4().hex, _chained(first, numbered))
    except AlreadyExistsError as error:
        raise CorruptionError(f"the snapshot holds an id twice ({error}); take another one") from error
    if graph is not None:
        segment = Segment.open(directory, entry, schema, metric=config.metric)
        Graph.open(graph, segment.vectors, config.metric)  # CorruptionError unless it is a graph of these vectors
        entry = write_graph(directory, entry, [graph])
    return Restored(directory, config, schema, (entry,))


def _numbered(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    start = 0
    for batch in batches:
        if batch.num_rows == 0:
            continue
        numbers = pa.array(np.arange(start, start + batch.num_rows, dtype=np.uint64))
        schema = batch.schema.insert(0, pa.field(ROW, pa.uint64()))
        yield pa.RecordBatch.from_arrays([numbers, *batch.columns], schema=schema)
        start += batch.num_rows


def _chained(first: pa.RecordBatch, others: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from others
