"""Resolver: what do a caller's operations mean for the rows that are there?

Operations are resolved in order against the state of one moment, each seeing those before it, into one change of row
numbers: a single upsert and a long transaction take the same way. REQUIRES: the collection's mutex is held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearrow.errors import AlreadyExistsError, NotFoundError
from nearrow.schema import conform, evolve
from nearrow.write.record import Change, Put, RowNumbers
from nearrow.write.state import State

Operation = Callable[["Resolver"], int]
"""One put, update or delete; returns how many rows it concerned."""


class Resolver:
    """Collects operations into one change."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.schema = state.schema
        self._dead: list[RowNumbers] = []
        self._batches: list[pa.RecordBatch] = []
        self._new: dict[Any, tuple[int, int]] = {}  # id → (batch, position) of its row in this change
        self._gone: set[Any] = set()  # ids whose stored row dies in this change

    def put(self, batch: pa.RecordBatch, schema: pa.Schema, *, refuse_existing: bool) -> int:
        """Whole rows with unique ids. An existing id: refused, or replaced."""
        self.schema = evolve(self.schema, schema)
        column = batch.column("id")
        rows, found = self._stored(column)
        ids = column.to_pylist()
        if refuse_existing and (found.any() or any(identifier in self._new for identifier in ids)):
            existing = next(i for i, stored in zip(ids, found, strict=True) if stored or i in self._new)
            raise AlreadyExistsError(f"id {existing!r} exists already; nothing was written (upsert() replaces rows)")
        self._kill(rows, found, ids)
        number = len(self._batches)
        self._batches.append(batch)
        self._new.update(zip(ids, ((number, position) for position in range(len(ids))), strict=True))
        return len(ids)

    def update(self, batch: pa.RecordBatch, schema: pa.Schema) -> int:
        """Some columns of rows that exist: the others keep their values."""
        ids = batch.column("id").to_pylist()
        _, found = self._stored(batch.column("id"))
        missing = [i for i, stored in zip(ids, found, strict=True) if not stored and i not in self._new]
        if missing:
            raise NotFoundError(f"id {missing[0]!r} does not exist ({len(missing)} missing); nothing was written")
        self.schema = evolve(self.schema, schema)
        old = self._current_rows(batch.column("id"), ids)
        columns = [
            batch.column(field.name) if batch.schema.get_field_index(field.name) >= 0 else old.column(field.name)
            for field in old.schema
        ]
        extra = [name for name in batch.schema.names if old.schema.get_field_index(name) < 0]
        whole = pa.RecordBatch.from_arrays(
            columns + [batch.column(name) for name in extra], names=[*old.schema.names, *extra]
        )
        return self.put(whole, schema, refuse_existing=False)

    def delete(self, ids: pa.Array) -> int:
        """Rows with these ids, if they exist. Returns how many went."""
        wanted = ids.unique()
        rows, found = self._stored(wanted)
        names = wanted.to_pylist()
        self._kill(rows, found, names)
        new = sum(self._new.pop(identifier, None) is not None for identifier in names)
        return len(rows) + new

    def delete_rows(self, rows: RowNumbers) -> int:
        """Rows by number, found in the same state; the only operation of its change."""
        if len(rows):
            self._dead.append(rows)
        return len(rows)

    def change(self) -> Change | None:
        """The whole as one change, its rows numbered from the state's next; None if nothing changes."""
        puts = []
        first_row = self._state.next_row
        total = sum(batch.num_rows for batch in self._batches)
        for number, batch in enumerate(self._batches):
            if len(self._new) != total:  # some rows were replaced or deleted again by a later operation
                ids = batch.column("id").to_pylist()
                keep = [self._new.get(identifier) == (number, place) for place, identifier in enumerate(ids)]
                batch = batch.filter(pa.array(keep, pa.bool_()))
            if batch.num_rows:
                puts.append(Put.copied(first_row, conform(batch, self.schema)))
                first_row += batch.num_rows
        dead = np.concatenate(self._dead) if self._dead else np.empty(0, np.uint64)
        return Change(dead, puts) if puts or len(dead) else None

    def _stored(self, ids: pa.Array) -> tuple[RowNumbers, npt.NDArray[np.bool_]]:
        rows, found = self._state.find(ids)
        if self._gone and found.any():
            still = np.fromiter((identifier not in self._gone for identifier in ids.to_pylist()), np.bool_, len(ids))
            rows = rows[still[found]]
            found &= still
        return rows, found

    def _kill(self, rows: RowNumbers, found: npt.NDArray[np.bool_], ids: Sequence[Any]) -> None:
        if len(rows):
            self._dead.append(rows)
            self._gone.update(ids[index] for index in np.flatnonzero(found).tolist())

    def _current_rows(self, ids: pa.Array, names: Sequence[Any]) -> pa.RecordBatch:
        """The rows as they are after the operations so far, in the order of `ids`."""
        view = self._state.view()
        here = [self._new.get(identifier) for identifier in names]
        stored = [index for index, place in enumerate(here) if place is None]
        owner, position = view.find(ids.take(pa.array(stored, pa.int64())))
        tables = [view.take(owner, position, view.schema.names)]
        order = stored.copy()
        for index, place in enumerate(here):
            if place is not None:
                row = self._batches[place[0]].slice(place[1], 1)
                tables.append(pa.Table.from_batches([row]))
                order.append(index)
        full = [conform(batch, self.schema) for table in tables for batch in table.combine_chunks().to_batches()]
        joined = pa.Table.from_batches(full, schema=self.schema).combine_chunks()
        back = np.argsort(np.asarray(order, np.int64), kind="stable")
        taken = joined.take(pa.array(back)).combine_chunks().to_batches()
        return taken[0] if taken else pa.RecordBatch.from_pylist([], schema=self.schema)
