"""Vectors: where do the rows lie, and what may be asked of them? NumPy and Arrow memory, by reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearrow import _kernel
from nearrow.errors import DimensionMismatchError, InvalidArgumentError

Floats = npt.NDArray[np.float32]
Bits = npt.NDArray[np.uint8]

_METRICS = {"l2": "l2", "euclidean": "l2", "cosine": "cosine", "dot": "dot", "ip": "dot"}
_DIMENSION_MAX = 32_000


def metric_name(metric: str) -> str:
    """The metric's own name; "euclidean" and "ip" are aliases. Raises InvalidArgumentError."""
    try:
        return _METRICS[metric]
    except (KeyError, TypeError):
        raise InvalidArgumentError(f"unknown metric {metric!r}: use 'l2', 'cosine' or 'dot'") from None


class Piece(NamedTuple):
    """Rows that lie together in memory, which `owner` keeps alive."""

    address: int
    rows: int
    dimension: int
    dtype: np.dtype[Any]
    owner: Any


class Vectors:
    """Rows of one dimension, held by reference, in chunks of any sizes.

    `source` is a C-contiguous float32 or float16 array [n, d], an Arrow FixedSizeList array or chunked array of
    those, a piece or other vectors, or a sequence of such. Nothing is copied; the memory is kept alive.
    """

    __slots__ = ("dimension", "dtype", "kernel", "nbytes", "pieces")

    def __init__(self, source: Any, *, dimension: int | None = None) -> None:
        self.pieces = list(pieces_of(source))
        found = {piece.dimension for piece in self.pieces} | ({dimension} if dimension is not None else set())
        types = {piece.dtype for piece in self.pieces}
        if len(found) > 1:
            raise DimensionMismatchError(f"vectors of different dimensions together: {sorted(found)}")
        if len(types) > 1:
            raise InvalidArgumentError("float32 and float16 vectors together; convert one of them")
        if not found:
            raise InvalidArgumentError("no vectors and no dimension; give an array of shape [0, d] or dimension=")
        self.dimension: int = found.pop()
        if not 1 <= self.dimension <= _DIMENSION_MAX:
            raise InvalidArgumentError(f"a vector has 1 to {_DIMENSION_MAX:,} dimensions, not {self.dimension}")
        self.dtype: np.dtype[Any] = types.pop() if types else np.dtype(np.float32)
        ranges = [(piece.address, piece.rows) for piece in self.pieces]
        self.kernel = _kernel.Vectors(ranges, self.dimension, self.dtype == np.float16)
        self.nbytes: int = len(self) * self.dimension * self.dtype.itemsize

    def __len__(self) -> int:
        return self.kernel.rows

    @classmethod
    def concatenate(cls, parts: Sequence[Vectors]) -> Vectors:
        """One view of several, in order, still by reference."""
        return cls(parts, dimension=parts[0].dimension)


def pieces_of(source: Any) -> Iterator[Piece]:
    """One for every chunk of the source."""
    if isinstance(source, Piece):
        yield source
    elif isinstance(source, Vectors):
        yield from source.pieces
    elif isinstance(source, np.ndarray):
        if source.ndim != 2:
            raise InvalidArgumentError(f"vectors are an array of shape [n, d], not {source.ndim}-dimensional")
        if source.dtype not in (np.float32, np.float16):
            raise InvalidArgumentError(
                f"vectors are float32 or float16, not {source.dtype}; convert with .astype(np.float32)"
            )
        if not source.flags.c_contiguous:
            raise InvalidArgumentError("the array is not C-contiguous; pass np.ascontiguousarray(vectors)")
        yield Piece(source.ctypes.data, len(source), source.shape[1], source.dtype, source)
    elif isinstance(source, pa.ChunkedArray):
        if source.num_chunks == 0:
            yield from pieces_of(pa.array([], source.type))
        for chunk in source.chunks:
            yield from pieces_of(chunk)
    elif isinstance(source, pa.Array):
        if isinstance(source, pa.ExtensionArray):
            source = source.storage
        if not pa.types.is_fixed_size_list(source.type):
            raise InvalidArgumentError(f"vectors are a FixedSizeList of float32 or float16, not {source.type}")
        width = source.type.list_size
        names: dict[pa.DataType, np.dtype[Any]] = {
            pa.float32(): np.dtype(np.float32),
            pa.float16(): np.dtype(np.float16),
        }
        dtype = names.get(source.type.value_type)
        if dtype is None:
            raise InvalidArgumentError(f"vectors are float32 or float16, not {source.type.value_type}")
        if source.null_count or source.flatten().null_count:
            raise InvalidArgumentError("vectors hold nulls; drop those rows first")
        values = source.values
        data = values.buffers()[1]
        start = (values.offset + source.offset * width) * dtype.itemsize
        if len(source) and (data is None or start + len(source) * width * dtype.itemsize > data.size):
            raise InvalidArgumentError("the Arrow array is malformed: its values are shorter than it says")
        yield Piece(0 if data is None else data.address + start, len(source), width, dtype, source)
    elif isinstance(source, (list, tuple)):
        for part in source:
            yield from pieces_of(part)
    else:
        raise InvalidArgumentError(f"vectors are a NumPy array or an Arrow FixedSizeList, not {type(source).__name__}")


def query_batch(queries: Any, dimension: int) -> Floats:
    array = np.ascontiguousarray(queries, dtype=np.float32)
    if array.ndim != 2:
        raise InvalidArgumentError(f"queries are an array of shape [b, {dimension}], not {array.ndim}-dimensional")
    return array


def single_query(query: Any, dimension: int) -> Floats:
    array = np.ascontiguousarray(query, dtype=np.float32)
    if array.ndim != 1:
        raise InvalidArgumentError(f"a query is an array of shape [{dimension}], not {array.ndim}-dimensional")
    return array


def accept_bits(accept: Any, rows: int) -> Bits | None:
    """Packed bits (least significant first) from packed uint8, an Arrow boolean array, or a NumPy bool array."""
    if accept is None:
        return None
    if isinstance(accept, pa.ChunkedArray):
        accept = accept.combine_chunks()
    if isinstance(accept, pa.BooleanArray):
        if len(accept) != rows:
            raise InvalidArgumentError(f"accept has {len(accept)} values for {rows} rows")
        accept = np.asarray(accept.fill_null(False).to_numpy(zero_copy_only=False), dtype=bool)
    array = np.asarray(accept)
    if array.dtype == np.bool_:
        if array.shape != (rows,):
            raise InvalidArgumentError(f"accept has shape {array.shape} for {rows} rows")
        return np.packbits(array, bitorder="little")
    if array.dtype != np.uint8 or array.ndim != 1:
        raise InvalidArgumentError("accept is packed uint8 bits, or an Arrow or NumPy array of booleans")
    return np.ascontiguousarray(array)
