"""View: which rows are visible at one moment?

A view never changes. Searches take the newest one and keep it for as long as they like; the writer publishes the
next one beside it. Its parts are the segments and memtables, each with the rows that are alive in this view.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearrow.index.hnsw import Graph, Vectors
from nearrow.segment.rows import Bits, Positions, fill_columns
from nearrow.segment.zones import Zone

ROW = "_row"


class Part(Protocol):
    """Rows that lie together: a segment or a memtable, as one view sees them. Positions count from 0."""

    @property
    def key(self) -> Hashable:
        """Names the immutable rows (not which of them are alive): for caches."""

    @property
    def rows(self) -> int: ...
    @property
    def alive(self) -> Bits | None:
        """Which positions are alive; None when all are."""

    @property
    def alive_count(self) -> int: ...
    @property
    def graph(self) -> Graph | None: ...
    @property
    def vectors(self) -> Vectors: ...
    @property
    def batches(self) -> Sequence[pa.RecordBatch]:
        """The stored columns, `_row` among them; those that came later may be missing."""

    def find(self, ids: pa.Array) -> Positions:
        """Position of each id's alive row, or -1."""

    def locate(self, row_numbers: npt.NDArray[np.uint64]) -> Positions:
        """Position of each row number, alive or not, or -1."""

    def row_numbers_at(self, positions: Positions) -> npt.NDArray[np.uint64]: ...
    def ids_at(self, positions: Positions) -> npt.NDArray[Any]: ...
    def take(self, positions: Positions, columns: Sequence[str]) -> pa.Table:
        """Rows at these positions; columns that this part lacks are left out."""

    def select(self, columns: Sequence[str]) -> pa.Table:
        """All rows, alive or not, in order of position; columns that this part lacks are left out."""

    def zone(self, column: str) -> Zone | None:
        """(min, max, null count) of a column over all rows, alive or not, if known."""


@dataclass(frozen=True)
class View:
    """All rows that are visible at one moment.

    `schema` is the user's: id, vector, text fields, metadata. `lsn` is the last log record that it includes.
    """

    parts: tuple[Part, ...]
    schema: pa.Schema
    lsn: int
    generation: int
    count: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "count", sum(part.alive_count for part in self.parts))

    def find(self, ids: pa.Array) -> tuple[npt.NDArray[np.int32], Positions]:
        """(part, position) of each id's row; part -1 where there is none."""
        owner = np.full(len(ids), -1, np.int32)
        position = np.full(len(ids), -1, np.int64)
        missing: Positions = np.arange(len(ids), dtype=np.int64)
        for index in range(len(self.parts) - 1, -1, -1):  # newest first: most ids asked for are fresh
            if len(missing) == 0:
                break
            wanted = ids if len(missing) == len(ids) else ids.take(pa.array(missing))
            found = self.parts[index].find(wanted)
            hit = found >= 0
            owner[missing[hit]] = index
            position[missing[hit]] = found[hit]
            missing = missing[~hit]
        return owner, position

    def locate(self, row_numbers: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.int32], Positions]:
        """(part, position) of each row number, alive or not; part -1 where this view does not have it."""
        owner = np.full(len(row_numbers), -1, np.int32)
        position = np.full(len(row_numbers), -1, np.int64)
        for index, part in enumerate(self.parts):
            found = part.locate(row_numbers)
            hit = found >= 0
            owner[hit] = index
            position[hit] = found[hit]
        return owner, position

    def row_numbers_at(self, owner: npt.NDArray[np.int32], position: Positions) -> npt.NDArray[np.uint64]:
        """The row number of each (part, position)."""
        if len(owner) == 1:  # a cursor asks for one
            return self.parts[int(owner[0])].row_numbers_at(position)
        numbers = np.empty(len(owner), np.uint64)
        for index in np.unique(owner):
            here = owner == index
            numbers[here] = self.parts[int(index)].row_numbers_at(position[here])
        return numbers

    def take(self, owner: npt.NDArray[np.int32], position: Positions, columns: Sequence[str]) -> pa.Table:
        """The rows at (part, position), in that order, with just `columns` of the schema."""
        schema = pa.schema([self.schema.field(name) for name in columns])
        pieces: list[pa.Table] = []
        orders: list[Positions] = []
        for index in np.unique(owner):
            here = np.flatnonzero(owner == index)
            part = self.parts[int(index)]
            pieces.append(fill_columns(part.take(position[here], columns), schema))
            orders.append(here)
        if not pieces:
            return schema.empty_table()
        if len(pieces) == 1:
            return pieces[0]
        order = np.concatenate(orders)
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return pa.concat_tables(pieces).combine_chunks().take(pa.array(back))

    def scan(self, columns: Sequence[str], batch_rows: int, wanted: Sequence[Bits | None]) -> Iterator[pa.RecordBatch]:
        """The rows wanted of each part (None: all) in batches of at most `batch_rows`; zero-copy for whole batches."""
        schema = pa.schema([self.schema.field(name) for name in columns])
        for part, bits in zip(self.parts, wanted, strict=True):
            start = 0
            for batch in part.batches:
                for piece in _alive_pieces(batch, bits, start, columns, batch_rows):
                    yield from fill_columns(pa.Table.from_batches([piece]), schema).to_batches()
                start += batch.num_rows


def alive_mask(alive: Bits | None, start: int, rows: int) -> npt.NDArray[np.bool_] | None:
    """Booleans of positions start .. start + rows, or None when all of them are alive."""
    if alive is None:
        return None
    first = start // 8
    bits = np.unpackbits(alive[first : (start + rows + 7) // 8], bitorder="little")
    mask: npt.NDArray[np.bool_] = bits[start - first * 8 : start - first * 8 + rows].view(np.bool_)
    return None if bool(mask.all()) else mask


def _alive_pieces(
    batch: pa.RecordBatch, alive: Bits | None, start: int, columns: Sequence[str], batch_rows: int
) -> Iterator[pa.RecordBatch]:
    present = [ROW, *present_columns(batch.schema, columns)]
    for offset in range(0, batch.num_rows, batch_rows):
        piece = batch.slice(offset, batch_rows).select(present)
        mask = alive_mask(alive, start + offset, piece.num_rows)
        if mask is not None:
            piece = piece.filter(pa.array(mask))
        if piece.num_rows:
            yield piece


def present_columns(schema: pa.Schema, columns: Sequence[str]) -> list[str]:
    """Those of `columns` that rows of this schema have, `_row` aside, which parts give anyway; the rest read null."""
    return [name for name in columns if name != ROW and schema.get_field_index(name) >= 0]
