"""Part: which rows of a segment does one view see?"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearrow.index.hnsw import Graph, Vectors
from nearrow.segment.deletes import DeadRows
from nearrow.segment.reader import Segment
from nearrow.segment.rows import Bits, Positions, only_alive
from nearrow.segment.view import ROW, present_columns
from nearrow.segment.zones import Zone


class SegmentPart:
    """An immutable segment and the rows of it that are dead in one view."""

    def __init__(self, segment: Segment, dead: DeadRows) -> None:
        self.segment = segment
        self.id = segment.entry.id
        self.dead = dead
        self.rows: int = segment.rows
        self.alive_count = segment.rows - dead.count
        self.alive: Bits | None = dead.alive

    @property
    def key(self) -> Hashable:
        return ("segment", self.segment.key)

    @property
    def graph(self) -> Graph | None:
        return self.segment.graph

    @property
    def vectors(self) -> Vectors:
        return self.segment.vectors

    @property
    def batches(self) -> Sequence[pa.RecordBatch]:
        return self.segment.batches

    def find(self, ids: pa.Array) -> Positions:
        positions = self.segment.find(ids)
        return only_alive(positions, self.alive)

    def locate(self, row_numbers: npt.NDArray[np.uint64]) -> Positions:
        return self.segment.locate(row_numbers)

    def row_numbers_at(self, positions: Positions) -> npt.NDArray[np.uint64]:
        return self.segment.row_numbers_at(positions)

    def ids_at(self, positions: Positions) -> npt.NDArray[Any]:
        return self.segment.ids_at(positions)

    def pack_hits(self, positions: Positions, distances: npt.NDArray[np.float32]) -> bytes:
        return self.segment.pack_hits(positions, distances)

    def take(self, positions: Positions, columns: Sequence[str]) -> pa.Table:
        return self.segment.take(positions, [ROW, *present_columns(self.segment.schema, columns)])

    def select(self, columns: Sequence[str]) -> pa.Table:
        return self.segment.select([ROW, *present_columns(self.segment.schema, columns)])

    def zone(self, column: str) -> Zone | None:
        return self.segment.zone_map(column)

    def all_positions(self) -> Positions:
        return np.arange(self.rows, dtype=np.int64)

    def with_dead(self, positions: Positions) -> SegmentPart:
        """The same rows after these died (positions already dead, or -1, are ignored)."""
        dead = self.dead.with_dead(positions[positions >= 0])
        return self if dead.count == self.dead.count else SegmentPart(self.segment, dead)

    def with_segment(self, segment: Segment) -> SegmentPart:
        """The same dead rows over the same segment reopened, now with its graph."""
        return SegmentPart(segment, self.dead)
