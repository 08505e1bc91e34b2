"""Numbered: which few values does a field have, and which of them has each row?

With the different values of a field numbered (a dictionary encoding of one immutable part), counting them is a
histogram of small integers, and a condition is evaluated once for each value instead of once for each row
(docs/decisions/075).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from nearrow import compute as pc
from nearrow.index.columns import Numbers, once_each
from nearrow.index.strings import are_few, number_strings
from nearrow.query.filter.cache import BytesCache
from nearrow.query.filter.fields import chunks_of, element_of, list_parts, walk
from nearrow.query.filter.tree import Field
from nearrow.query.threads import mapped

ROWS_MIN = 1 << 14
"""Fewer rows are looked at one by one as quickly."""
SAMPLE_ROWS, FEW_VALUES, REPEATS = 4_096, 256, 8
"""A field has few values if a sample holds no more than so many, or each of them so often on average."""
VALUES_MAX = 1 << 16
"""With more values a condition gains little."""
SPAN_MAX = 1 << 20
"""Integers closer together than this are numbered by a table, without hashing."""


@dataclass(frozen=True)
class NumberedValues:
    """A field of one part with its distinct values numbered: a number is 0 for null, else 1 + a position in `values`.

    numbers: one byte each where that is enough. starts: for a list, where each row's numbers begin (a row has a value
    once); None: number i is that of row i.
    """

    numbers: Numbers
    values: pa.Array
    starts: npt.NDArray[np.int32] | None

    @property
    def nbytes(self) -> int:
        return int(self.numbers.nbytes + self.values.nbytes + (0 if self.starts is None else self.starts.nbytes))


ValuesCache = BytesCache[NumberedValues]
_MANY = NumberedValues(np.empty(0, np.uint8), pa.nulls(0), None)


def few_values(
    cache: ValuesCache, key: Hashable, table: pa.Table, field: Field, known_only: bool, rows_min: int = ROWS_MIN
) -> NumberedValues | None:
    """The numbered values of a field of strings (or lists of them) that has few; None for any other.

    key: of the part whose rows are in `table`. They are numbered when they are first asked for, unless only those that
    are known already are wanted, and kept.
    """
    leaf = element_of(field).type if field.in_list and not field.rest else field.type
    if table.num_rows < max(rows_min, 1) or not pt.is_string(leaf):
        return None
    name = values_key(field)
    known = cache.get(key, name)
    if known is None:
        if known_only or cache.get(key, (name, "many")) is not None:
            return None
        known = numbered_values(field, leaf, table, VALUES_MAX) if _seem_few(chunks_of(table, field), field) else None
        if known is None or 2 * known.nbytes > cache.bytes_max:
            cache.put_sized(key, (name, "many"), _MANY, 0)
            return known
        cache.put_sized(key, name, known, known.nbytes)
    return known if len(known.values) <= VALUES_MAX else None


def values_key(field: Field) -> Hashable:
    """What a field's values are kept by."""
    return (field.column, field.path, field.rest)


def _seem_few(chunks: list[pa.Array], field: Field) -> bool:
    values = leaves(chunks[0].slice(0, SAMPLE_ROWS), field)[0]
    return pt.is_null(values.type) or are_few(values, max(FEW_VALUES, len(values) // REPEATS))


def leaves(array: pa.Array, field: Field) -> tuple[pa.Array, npt.NDArray[np.int64] | None]:
    """The values below the lists of `array`, and where those of each row begin (None: one a row)."""
    places: npt.NDArray[np.int64] | None = None
    while field.in_list:
        if pt.is_null(array.type):
            return pa.nulls(0), np.zeros(len(array) + 1 if places is None else len(places), np.int64)
        offsets, values = list_parts(array)
        places = offsets if places is None else offsets[places]
        field = element_of(field)
        array = walk(values, field.path)
    return array, places


def numbered_values(
    field: Field, leaf: pa.DataType, table: pa.Table, values_max: int | None = None
) -> NumberedValues | None:
    """The field's values in `table`, whose type is `leaf`, numbered; None if strings are more than `values_max`."""
    if pt.is_null(leaf):
        return NumberedValues(np.zeros(table.num_rows, np.uint8), pa.nulls(0), None)
    pieces = [leaves(chunk, field) for chunk in chunks_of(table, field)]
    arrays = [pa.nulls(len(values), leaf) if pt.is_null(values.type) else values for values, _ in pieces]
    numbers: Numbers
    if pt.is_string(leaf):
        found = number_strings(arrays, values_max)
        if found is None:
            return None
        numbers, values = found
    else:
        numbers, values = _numbers_in_span(arrays, leaf) or _dictionary(arrays, leaf)
        if len(values) < 256:
            numbers = numbers.astype(np.uint8)
    if not field.in_list:
        return NumberedValues(numbers, values, None)
    kept: list[npt.NDArray[Any]] = [numbers[:0]]
    starts = np.zeros(table.num_rows + 1, np.int32)
    row, element, written = 0, 0, 0
    for leaf_values, places in pieces:  # a chunk at a time, which stays in the cache
        assert places is not None
        own, begins = once_each(numbers[element : element + len(leaf_values)], places, len(values) + 1)
        np.add(begins, written, out=starts[row : row + len(begins)])
        kept.append(own)
        row, element, written = row + len(begins) - 1, element + len(leaf_values), written + len(own)
    return NumberedValues(np.concatenate(kept), values, starts)


def _numbers_in_span(arrays: list[pa.Array], leaf: pa.DataType) -> tuple[npt.NDArray[np.int32], pa.Array] | None:
    """Integers that lie close together, numbered in order; None for others."""
    if not pt.is_signed_integer(leaf) or not arrays:
        return None
    bounds = pc.min_max(pa.chunked_array(arrays, leaf)).as_py()
    low, high = bounds["min"], bounds["max"]
    if low is None or high - low >= SPAN_MAX:
        return None
    places = [pc.fill_null(array, low).to_numpy().astype(np.int64, copy=False) - low for array in arrays]
    flat = places[0] if len(places) == 1 else np.concatenate(places)
    valid = [array.is_valid().to_numpy(zero_copy_only=False) for array in arrays] if _has_nulls(arrays) else None
    kept = None if valid is None else np.concatenate(valid)
    present = np.zeros(high - low + 1, np.bool_)
    present[flat if kept is None else flat[kept]] = True
    numbers = np.cumsum(present, dtype=np.int32).take(flat)
    if kept is not None:
        numbers[~kept] = 0
    return numbers, pa.array(np.flatnonzero(present) + low).cast(leaf)


def _has_nulls(arrays: list[pa.Array]) -> bool:
    return any(array.null_count for array in arrays)


def _dictionary(arrays: list[pa.Array], leaf: pa.DataType) -> tuple[npt.NDArray[np.int32], pa.Array]:
    pieces: list[Any] = mapped(lambda array: array.dictionary_encode(), arrays)
    encoded = pa.chunked_array(pieces, pa.dictionary(pa.int32(), leaf)).unify_dictionaries()
    values = encoded.chunk(0).dictionary if encoded.num_chunks else pa.array([], leaf)
    numbers = [pc.fill_null(pc.add(one.indices, 1), 0).to_numpy(zero_copy_only=False) for one in encoded.chunks]
    return np.concatenate([np.empty(0, np.int32), *numbers]), values
