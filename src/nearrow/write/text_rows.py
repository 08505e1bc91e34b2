"""Text rows: which rows of a view does a text index lack, and how are a few of them searched without writing it?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from nearrow.index.text import TextField, TextIndex, TextView
from nearrow.segment.rows import fill_columns
from nearrow.segment.view import Part, View, alive_mask
from nearrow.write.record import RowNumbers

ROWS_AT_ONCE = 8192


class Tail:
    """An index in memory of a view's rows from a row number on. Not thread-safe."""

    def __init__(self, fields: Sequence[TextField]) -> None:
        self._fields = fields
        self._index: TextIndex | None = None
        self._key: tuple[int, int] | None = None
        self._lsn = 0
        self._end = 0

    def view(self, view: View, first: int) -> TextView | None:
        """The view's rows from `first` on; None if there are none.

        As long as `first` and the segments stay the same, rows that came later have higher numbers, and are added; rows
        that died stay in it. Else it is made anew: a bulk load shows rows with lower numbers when its segment comes.
        """
        key = (view.generation, first)
        if key != self._key or view.lsn < self._lsn:
            self.close()
            self._key, self._end, self._lsn = key, first, -1
        if view.lsn != self._lsn:
            for numbers, texts in rows_between(view, [field.name for field in self._fields], self._end, None):
                if self._index is None:
                    self._index = TextIndex.open(None, self._fields)
                self._index.add(numbers, texts)
                self._end = int(numbers[-1]) + 1
            if self._index is not None and self._index.uncommitted:
                self._index.commit(self._end)
            self._lsn = view.lsn
        return None if self._index is None else self._index.view

    def close(self) -> None:
        if self._index is not None:
            self._index.close()
        self._index, self._key = None, None


def together(main: TextView | None, tail: TextView | None) -> list[TextView]:
    """Both as one: words weigh in each by how rare they are in both, so that their scores can be compared."""
    if main is None or tail is None:
        return [view for view in (main, tail) if view is not None]
    return [main.beside(tail), tail.beside(main)]


def rows_between(
    view: View, columns: Sequence[str], first: int, limit: int | None
) -> Iterator[tuple[RowNumbers, dict[str, pa.ChunkedArray]]]:
    """The alive rows with first ≤ row number < limit, ascending, in pieces: their numbers and the columns."""
    number, owner, position = _places_between(view, first, limit)
    schema = pa.schema([view.schema.field(name) for name in columns])
    for start in range(0, len(number), ROWS_AT_ONCE):
        piece = slice(start, start + ROWS_AT_ONCE)
        table = fill_columns(view.take(owner[piece], position[piece], columns), schema)
        yield number[piece], dict(zip(columns, table.columns, strict=True))


def numbers_below(view: View, limit: int) -> RowNumbers:
    """The row numbers below `limit` that are alive, ascending."""
    return _places_between(view, 0, limit)[0]


def count_between(view: View, first: int, limit: int) -> int:
    """How many rows with first ≤ row number < limit are alive."""
    total = 0
    for part in view.parts:
        low, high = _lower_bound(part, first), _lower_bound(part, limit)
        if high > low:
            mask = alive_mask(part.alive, low, high - low)
            total += high - low if mask is None else int(np.count_nonzero(mask))
    return total


def _places_between(
    view: View, first: int, limit: int | None
) -> tuple[RowNumbers, np.ndarray[tuple[int], np.dtype[np.int32]], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """(row number, part, position) of the alive rows, by row number."""
    owners = [np.empty(0, np.int32)]
    positions = [np.empty(0, np.int64)]
    numbers = [np.empty(0, np.uint64)]
    for index, part in enumerate(view.parts):
        low = _lower_bound(part, first)
        high = part.rows if limit is None else _lower_bound(part, limit)
        if high <= low:
            continue
        mask = alive_mask(part.alive, low, high - low)
        here = np.arange(low, high, dtype=np.int64) if mask is None else low + np.flatnonzero(mask)
        owners.append(np.full(len(here), index, np.int32))
        positions.append(here)
        numbers.append(part.row_numbers_at(here))
    number, owner, position = np.concatenate(numbers), np.concatenate(owners), np.concatenate(positions)
    if not bool((number[1:] > number[:-1]).all()):  # parts interleave after bulk loads beside small writes
        order = np.argsort(number, kind="stable")
        number, owner, position = number[order], owner[order], position[order]
    return number, owner, position


def _lower_bound(part: Part, number: int) -> int:
    """The first position whose row number is at least `number`."""
    low, high = 0, part.rows
    while low < high:
        middle = (low + high) // 2
        if int(part.row_numbers_at(np.array([middle]))[0]) < number:
            low = middle + 1
        else:
            high = middle
    return low


__all__ = ["Tail", "count_between", "numbers_below", "rows_between", "together"]
