"""Rows: how are a few rows taken out of many mapped batches without touching the rest?

`pyarrow.Table.take` may first concatenate a chunked column, which would read a whole segment; here the wanted
positions are grouped by batch instead, so only the pages that hold them are read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearrow.schema.evolve import cast_array

Positions = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint8]
"""Packed bitmap in Arrow's order (least significant bit first)."""

FEW_ROWS = 32
"""So few are cut out one by one: quicker than an Arrow `take` for each batch, and in their order at once."""


def batch_starts(batches: Sequence[pa.RecordBatch]) -> Positions:
    """Position of each batch's first row, and behind them the number of rows: int64 [batches + 1]."""
    starts = np.zeros(len(batches) + 1, np.int64)
    np.cumsum([batch.num_rows for batch in batches], out=starts[1:])
    return starts


def take_rows(
    batches: Sequence[pa.RecordBatch], starts: Positions, positions: Positions, columns: Sequence[str]
) -> pa.Table:
    """The rows at `positions`, in that order, with just `columns` (all of them present in the batches)."""
    schema = pa.schema([batches[0].schema.field(name) for name in columns])
    if len(positions) == 0:
        return schema.empty_table()
    if len(batches) == 1:
        return pa.Table.from_batches([_take(batches[0], positions, schema)])
    owner = np.searchsorted(starts, positions, side="right") - 1
    if len(positions) <= FEW_ROWS:
        places = list(zip(owner.tolist(), (positions - starts[owner]).tolist(), strict=True))
        numbers = [batches[0].schema.get_field_index(name) for name in columns]
        arrays = [
            pa.concat_arrays([batches[batch].column(number).slice(place, 1) for batch, place in places])
            for number in numbers
        ]
        return pa.Table.from_arrays(arrays, schema=schema)
    order = np.argsort(owner, kind="stable")
    pieces = []
    for group in np.split(order, np.flatnonzero(np.diff(owner[order])) + 1):
        batch = int(owner[group[0]])
        pieces.append(_take(batches[batch], positions[group] - starts[batch], schema))
    table = pa.Table.from_batches(pieces)
    if len(pieces) == 1 or bool((order[1:] > order[:-1]).all()):
        return table
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    return table.combine_chunks().take(pa.array(back))


def _take(batch: pa.RecordBatch, positions: Positions, schema: pa.Schema) -> pa.RecordBatch:
    indices = pa.array(positions)
    return pa.RecordBatch.from_arrays([batch.column(name).take(indices) for name in schema.names], schema=schema)


def fill_columns(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """`table` with exactly the columns of `schema`: older rows read null in columns that came later."""
    if table.schema.equals(schema, check_metadata=False):
        return table
    columns = []
    for field in schema:
        index = table.schema.get_field_index(field.name)
        if index < 0:
            columns.append(pa.chunked_array([pa.nulls(table.num_rows, field.type)]))
        else:
            column = table.column(index)
            if not column.type.equals(field.type):
                column = pa.chunked_array([cast_array(chunk, field.type) for chunk in column.chunks], field.type)
            columns.append(column)
    return pa.table(columns, schema=schema)


def only_alive(positions: Positions, alive: Bits | None) -> Positions:
    """`positions` with -1 where the row is not alive."""
    if alive is None:
        return positions
    safe = np.maximum(positions, 0)
    bit = (alive[safe >> 3] >> (safe & 7).astype(np.uint8)) & 1 if len(alive) else np.zeros(len(safe), np.uint8)
    return np.where((positions >= 0) & (bit == 1), positions, -1)
