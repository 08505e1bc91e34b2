"""Ids: which row has this id, and which id has this row?

An `IdColumn` is a prepared handle on an Arrow column of ids (string or int64, any number of batches, by reference).
An `IdTable` is the hash table over such a column: flat bytes, mapped and used in place. Every access is bounds-checked
in the kernel against the Arrow buffers, and each bucket has a checksum: a search that meets damage says so.
Format: docs/formats/ids.md. Everything here may be used from any number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearrow import _kernel
from nearrow.errors import AlreadyExistsError, CorruptionError, InvalidArgumentError, SchemaError

Positions = npt.NDArray[np.int64]
Ids: TypeAlias = pa.Array | pa.ChunkedArray

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


def is_id_type(type_: pa.DataType) -> bool:
    """Whether a collection's ids may have this type: string or int64."""
    return bool(pa.types.is_string(type_) or pa.types.is_int64(type_))


class IdColumn:
    """Ids in one or more Arrow batches, by reference, ready for the kernel. Build it once, use it for every query."""

    __slots__ = ("_column", "strings", "type")

    def __init__(self, ids: Ids) -> None:
        """Take string, large_string or int64 ids; anything else is a SchemaError."""
        self.type: pa.DataType = ids.type
        self.strings = bool(pa.types.is_string(ids.type) or pa.types.is_large_string(ids.type))
        if not self.strings and not pa.types.is_int64(ids.type):
            raise SchemaError(f"ids are string or int64, not {ids.type}; cast them")
        chunks = ids.chunks if isinstance(ids, pa.ChunkedArray) else [ids]
        self._column = _kernel.IdColumn(self.strings, pa.types.is_large_string(ids.type), [_parts(c) for c in chunks])

    def __len__(self) -> int:
        return len(self._column)

    def gather(self, positions: npt.ArrayLike) -> npt.NDArray[Any]:
        """The ids at these positions: an object array of str, or an int64 array.

        A position outside the column is an InvalidArgumentError, an id that cannot be read a CorruptionError.
        """
        wanted = np.ascontiguousarray(positions, dtype=np.int64)
        try:
            if not self.strings:
                return self._column.gather_int64(wanted)
            out = np.empty(len(wanted), dtype=object)
            out[:] = self._column.gather_strings(wanted)
        except (IndexError, ValueError) as error:
            raise self._unreadable(error) from None
        return out

    def pack_hits(self, positions: Positions, distances: npt.NDArray[np.float32], row_number: int) -> bytes:
        """One query's hits in the compact form of docs/protocol.md. row_number: of the last one. Errors as in `gather`."""
        try:
            return self._column.pack_hits(positions, distances, row_number)
        except (IndexError, ValueError) as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> InvalidArgumentError | CorruptionError:
        if isinstance(error, IndexError):
            return InvalidArgumentError(f"ids: {error} of {len(self)} rows")
        # UnicodeDecodeError is a ValueError, too
        return CorruptionError(f"column id: {error}; run check(), then restore a snapshot")


class IdTable:
    """The hash table from id to position over one column of ids."""

    __slots__ = ("_table", "ids", "name")

    def __init__(self, table: _kernel.IdTable, ids: IdColumn, name: str) -> None:
        self._table = table
        self.ids = ids
        self.name = name

    @staticmethod
    def build(ids: Ids | IdColumn, *, seed: int = 0) -> bytes:
        """The table's bytes, the same for the same ids. AlreadyExistsError on a repeated id, SchemaError on a null one."""
        column = ids if isinstance(ids, IdColumn) else IdColumn(ids)
        result = _kernel.id_table_build(column._column, seed)
        if isinstance(result, bytes):
            return result
        position, earlier = result
        if earlier is None:
            raise SchemaError(f"id at position {position} is null or unreadable; every row needs an id")
        raise AlreadyExistsError(
            f"id {column.gather([position])[0]!r} at position {position} is already at position {earlier}; ids are unique"
        )

    @classmethod
    def open(cls, buffer: pa.Buffer | bytes | memoryview, ids: Ids | IdColumn, *, name: str = "ids.bin") -> IdTable:
        """Use the table's bytes in place: O(1). CorruptionError, naming `name`, if they don't belong to these ids."""
        column = ids if isinstance(ids, IdColumn) else IdColumn(ids)
        try:
            return cls(_kernel.IdTable(buffer, column._column), column, name)
        except ValueError as error:
            raise CorruptionError(f"{name}: {error}; run repair() to rebuild it from the rows") from None

    def __len__(self) -> int:
        return len(self.ids)

    def find(self, ids: Ids | Sequence[str] | Sequence[int]) -> Positions:
        """Position of each id, or -1: int64 [len(ids)]. Nulls and ids of the other type are not found.

        CorruptionError, naming the table, if a bucket on the way is damaged.
        """
        if not isinstance(ids, (pa.Array, pa.ChunkedArray)):
            return np.fromiter((self.find_one(one) for one in ids), dtype=np.int64, count=len(ids))
        needles = _comparable(ids)
        if needles is None or needles.strings != self.ids.strings:
            return np.full(len(ids), -1, np.int64)
        try:
            return self._table.find_all(needles._column)
        except ValueError as error:
            raise self._damaged(error) from None

    def find_one(self, id: str | int) -> int:
        """Position of one id, or -1. CorruptionError as in `find`."""
        try:
            if isinstance(id, str):
                return self._table.find_string(id)
            if isinstance(id, (int, np.integer)) and INT64_MIN <= id <= INT64_MAX:
                return self._table.find_int64(int(id))
        except TypeError:  # a lone surrogate is no Unicode text, so no row has that id
            return -1
        except ValueError as error:
            raise self._damaged(error) from None
        return -1

    def _damaged(self, error: ValueError) -> CorruptionError:
        return CorruptionError(f"{self.name}: {error}; run repair() to rebuild it from the rows")

    def check(self) -> list[str]:
        """Look up every id of the column; what is wrong, in sentences, or nothing."""
        count, first = self._table.misplaced()
        if count == 0:
            return []
        return [f"{self.name}: {count} of {len(self)} ids are not found at their position, the first at {first}"]


def gather_ids(ids: IdColumn | Ids, positions: npt.ArrayLike) -> npt.NDArray[Any]:
    """The ids at these positions: an object array of str, or an int64 array (microseconds with a prepared IdColumn)."""
    column = ids if isinstance(ids, IdColumn) else IdColumn(ids)
    return column.gather(positions)


def _parts(chunk: pa.Array) -> tuple[pa.Buffer | None, pa.Buffer | None, pa.Buffer | None, int, int]:
    buffers = chunk.buffers()
    validity = buffers[0] if chunk.null_count else None
    offsets = buffers[1] if len(buffers) == 3 else None
    return validity, offsets, buffers[-1], chunk.offset, len(chunk)


def _comparable(ids: Ids) -> IdColumn | None:
    """Needles of a type that can equal an id (any integer, any string), or None."""
    type_ = ids.type
    if pa.types.is_integer(type_) and not pa.types.is_int64(type_):
        if pa.types.is_uint64(type_):  # those beyond int64 have no row: null instead of an overflow
            beyond = np.asarray(ids.to_numpy(zero_copy_only=False) > INT64_MAX)
            ids = pa.array(ids.to_numpy(zero_copy_only=False).astype(np.int64), mask=beyond)
        else:
            ids = ids.cast(pa.int64())
    elif not (pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_int64(type_)):
        if not (pa.types.is_dictionary(type_) or type_ in _STRING_VIEWS):
            return None
        ids = ids.cast(type_.value_type if pa.types.is_dictionary(type_) else pa.string())
        return _comparable(ids)
    return IdColumn(ids)


_STRING_VIEWS = {pa.string_view()}

__all__ = ["IdColumn", "IdTable", "Ids", "Positions", "gather_ids", "is_id_type"]
