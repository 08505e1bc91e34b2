"""Identity: which ids may a row have, and which of them repeat?"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from nearrow.errors import InvalidArgumentError, SchemaError
from nearrow.schema.types import is_string

ID_BYTES_MAX = 512


def id_type_of(type: pa.DataType) -> pa.DataType:
    """int64 or string, whichever an id column given as `type` is kept in (null if it says nothing yet)."""
    if pt.is_dictionary(type) or pt.is_run_end_encoded(type):
        return id_type_of(type.value_type)
    if pt.is_null(type):
        return type
    if pt.is_integer(type):
        return pa.int64()
    if is_string(type):
        return pa.string()
    raise SchemaError(f"column 'id' has type {type}; ids are strings or integers: cast them, e.g. with str()")


def canonical_ids(column: pa.Array, first_row: int = 0) -> pa.Array:
    """`column` as string or int64, every id checked; InvalidArgumentError names the row of the first bad one."""
    kept = id_type_of(column.type)
    if column.null_count or pt.is_null(column.type):
        if len(column):
            row = first_row + int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
            raise InvalidArgumentError(f"row {row}: the id is null; every row needs one")
        return column
    try:
        ids = column if column.type.equals(kept) else column.cast(kept)
    except pa.ArrowInvalid:
        raise InvalidArgumentError("an id is larger than int64 can hold; use strings") from None
    if pt.is_string(kept) and len(ids):
        lengths = _byte_lengths(ids)
        if not lengths.all():
            row = first_row + int(np.argmin(lengths))
            raise InvalidArgumentError(f"row {row}: the id is empty; every row needs one")
        if int(lengths.max()) > ID_BYTES_MAX:
            position = int(np.argmax(lengths > ID_BYTES_MAX))
            raise InvalidArgumentError(
                f"row {first_row + position}: the id {ids[position].as_py()[:32]!r}… is {lengths[position]} bytes; "
                f"the limit is {ID_BYTES_MAX}"
            )
    return ids


def _byte_lengths(strings: pa.StringArray) -> npt.NDArray[np.int32]:
    """Bytes of each string, from the offsets in place: for one row a call of Arrow's compute costs more than all else."""
    offsets = np.frombuffer(strings.buffers()[1], np.int32, len(strings) + 1, 4 * strings.offset)
    lengths: npt.NDArray[np.int32] = offsets[1:] - offsets[:-1]
    return lengths


def _codes(ids: pa.Array | pa.ChunkedArray) -> tuple[npt.NDArray[Any], int]:
    """A number for each row, equal where ids are equal, and how many numbers there are."""
    whole = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    if isinstance(whole, pa.ChunkedArray):  # more than 2 GB of text stays in several chunks
        whole = whole.cast(pa.large_string()).combine_chunks()
    encoded = whole.dictionary_encode()
    return encoded.indices.to_numpy(zero_copy_only=False), len(encoded.dictionary)


FEW_IDS = 1024
"""Up to so many ids a set of Python strings finds sooner that they are distinct than Arrow's dictionary does."""


def last_of_each(ids: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Ascending positions of the last row of each id: what an upsert keeps."""
    positions = np.arange(len(ids), dtype=np.int64)
    if len(ids) <= FEW_IDS and len(set(ids.to_pylist())) == len(ids):
        return positions
    codes, distinct = _codes(ids)
    if distinct == len(codes):
        return positions
    last = np.full(distinct, -1, dtype=np.int64)
    np.maximum.at(last, codes, positions)
    return np.sort(last)


def duplicate_positions(ids: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Ascending positions of the rows whose id occurred in an earlier row: what an add refuses."""
    codes, distinct = _codes(ids)
    if distinct == len(codes):
        return np.empty(0, dtype=np.int64)
    _, first = np.unique(codes, return_index=True)
    repeated = np.ones(len(codes), dtype=bool)
    repeated[first] = False
    return np.flatnonzero(repeated)
