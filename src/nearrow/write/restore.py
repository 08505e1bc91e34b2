"""Restore: how do rows that were a collection before become one again, at once?

Each part becomes a segment, with the graph that it had if that is given; the collection exists when its first manifest,
which names these segments, does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from uuid import uuid4

import numpy as np
import pyarrow as pa

from nearrow.errors import AlreadyExistsError, CorruptionError
from nearrow.index.hnsw import Graph
from nearrow.schema import ID_COLUMN, CollectionConfig
from nearrow.segment.format import BATCH_ROWS
from nearrow.segment.reader import Segment
from nearrow.segment.view import ROW
from nearrow.segment.writer import write_graph, write_segment
from nearrow.storage.directory import Directory
from nearrow.storage.manifest import SegmentEntry
from nearrow.write.open import create

BATCH_BYTES = 1 << 24
"""Of vectors: rows are decoded while those before them are written, and memory is used again before it grows cold."""


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


@dataclass(frozen=True)
class RestoredPart:
    """Canonical batches, and the graph over them in this order."""

    batches: Iterable[pa.RecordBatch]
    graph: pa.Buffer | None


def batch_rows(dimension: int) -> int:
    """Rows to a batch of a restored segment. Parts in batches of just this many are written without being copied first."""
    fitting = max(1, min(BATCH_ROWS, BATCH_BYTES // (4 * dimension)))
    return 1 << (fitting.bit_length() - 1)


def restore_rows(
    directory: Directory, config: CollectionConfig, schema: pa.Schema, parts: Iterable[RestoredPart]
) -> Restored:
    """Write the parts, each as a segment, into an empty folder; CorruptionError if an id is there twice."""
    segments: list[Segment] = []
    for part in parts:
        numbered = _numbered(part.batches, sum(segment.rows for segment in segments))
        first = next(numbered, None)
        if first is None:
            continue
        try:
            entry = write_segment(
                directory, uuid4().hex, chain([first], numbered), batch_rows=batch_rows(config.dimension)
            )
        except AlreadyExistsError as error:
            raise CorruptionError(f"the snapshot holds an id twice ({error}); take another one") from error
        segment = Segment.open(directory, entry, schema, metric=config.metric)
        ids = pa.chunked_array([batch.column(ID_COLUMN) for batch in segment.batches])
        for other in segments:
            if bool((other.find(ids) >= 0).any()):
                raise CorruptionError("the snapshot holds an id in two parts; take another one")
        if part.graph is not None:
            Graph.open(part.graph, segment.vectors, config.metric)  # CorruptionError unless it is one of these vectors
            segment.entry = write_graph(directory, entry, [part.graph])
        segments.append(segment)
    return Restored(directory, config, schema, tuple(segment.entry for segment in segments))


def _numbered(batches: Iterable[pa.RecordBatch], start: int) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        if batch.num_rows == 0:
            continue
        numbers = pa.array(np.arange(start, start + batch.num_rows, dtype=np.uint64))
        schema = batch.schema.insert(0, pa.field(ROW, pa.uint64()))
        yield pa.RecordBatch.from_arrays([numbers, *batch.columns], schema=schema)
        start += batch.num_rows
