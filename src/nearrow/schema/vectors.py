"""Vectors: how does any spelling of vectors become FixedSizeList<float32|float16>[d], and which are refused?

Canonical input is passed through without a copy. Every value is checked: NaN and infinities anywhere, and zero vectors
under cosine, would make distances meaningless, so they are refused with the row and id.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from nearrow.errors import DimensionMismatchError, InvalidArgumentError, SchemaError
from nearrow.schema.config import CollectionConfig
from nearrow.schema.types import is_list

RowName = Callable[[int], str]  # position in the batch → "row 17 (id 'x')"
CHECK_ROWS = 4096  # rows whose norms are taken at once: small enough to stay in cache


def vector_type(config: CollectionConfig) -> pa.DataType:
    item = pa.float32() if config.dtype == "float32" else pa.float16()
    return pa.list_(item, config.dimension)


def check_vector_type(type: pa.DataType, config: CollectionConfig) -> None:
    """Refuse early, before any row is read, a column that cannot hold vectors of this collection."""
    if isinstance(type, pa.BaseExtensionType):
        check_vector_type(type.storage_type, config)
        return
    if pt.is_null(type):
        return
    value = type.value_type if is_list(type) else None
    if value is None or not (pt.is_floating(value) or pt.is_integer(value) or pt.is_null(value)):
        raise SchemaError(
            f"column 'vector' has type {type}; vectors are lists of floats (list, FixedSizeList or a 2-D array)"
        )
    if pt.is_fixed_size_list(type) and type.list_size != config.dimension:
        raise DimensionMismatchError(
            f"the vectors have {type.list_size} dimensions; collection {config.name!r} has {config.dimension}"
        )


def canonical_vectors(column: pa.Array, config: CollectionConfig, row_name: RowName) -> pa.Array:
    """`column` as FixedSizeList[dimension] of the collection's dtype, checked. REQUIRES: check_vector_type passed."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    wanted = vector_type(config)
    if len(column) == 0:
        return pa.array([], wanted)
    if column.null_count:
        missing = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise InvalidArgumentError(f"{row_name(missing)}: the vector is null; give every row a vector")
    _check_lengths(column, config, row_name)
    values = _elements(column)
    if values.null_count:
        missing = int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0]) // config.dimension
        raise InvalidArgumentError(f"{row_name(missing)}: the vector has a null element; give every dimension a number")
    matrix = values.to_numpy(zero_copy_only=True).reshape(len(column), config.dimension)
    narrowed = _narrowed(matrix, config)
    _check_values(matrix, narrowed, config, row_name)
    if narrowed is not matrix:
        values = pa.array(narrowed.reshape(-1))
    return pa.FixedSizeListArray.from_arrays(values, type=wanted)


def _elements(column: pa.Array) -> pa.Array:
    """All elements of the lists, none of which is null."""
    if not pt.is_fixed_size_list(column.type):
        return column.flatten()
    width = column.type.list_size  # a slice by hand, as flatten() is a call of Arrow's compute
    return column.values.slice(column.offset * width, len(column) * width)


def _check_lengths(column: pa.Array, config: CollectionConfig, row_name: RowName) -> None:
    if pt.is_fixed_size_list(column.type):
        return  # its list size was compared with the type
    lengths = column.value_lengths().to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero(lengths != config.dimension)
    if len(wrong):
        raise DimensionMismatchError(
            f"{row_name(int(wrong[0]))}: the vector has {lengths[wrong[0]]} dimensions; "
            f"collection {config.name!r} has {config.dimension}"
        )


def _narrowed(matrix: npt.NDArray[Any], config: CollectionConfig) -> npt.NDArray[Any]:
    if matrix.dtype == np.dtype(config.dtype):
        return matrix
    with np.errstate(over="ignore"):  # an overflow becomes inf and is refused with its row
        return matrix.astype(config.dtype)


def _check_values(given: npt.NDArray[Any], kept: npt.NDArray[Any], config: CollectionConfig, row_name: RowName) -> None:
    for start in range(0, len(kept), CHECK_ROWS):
        block = kept[start : start + CHECK_ROWS]
        norms = squared_norms(block)
        if np.isfinite(norms).all() and norms.all():
            continue
        for position in np.flatnonzero(~np.isfinite(norms)):
            _check_finite(given[start + position], kept[start + position], config, row_name(start + int(position)))
        if config.metric == "cosine":
            zero = np.flatnonzero(norms == 0)
            if len(zero):
                raise InvalidArgumentError(
                    f"{row_name(start + int(zero[0]))}: the vector is zero (or too short for its norm to be held in "
                    f"float32), so it has no direction and no cosine; leave the row out, or use metric='l2'"
                )


def squared_norms(block: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Squared norms in float32; not finite if an element is NaN or infinite (or the norm overflows)."""
    wide = block if block.dtype == np.float32 else block.astype(np.float32)
    if len(wide) == 1:  # the usual upsert: a fraction of the time of the general way, and silent
        return np.array([np.vdot(wide, wide)], np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        norms: npt.NDArray[np.float32] = np.einsum("ij,ij->i", wide, wide, dtype=np.float32)
    return norms


def _check_finite(given: npt.NDArray[Any], kept: npt.NDArray[Any], config: CollectionConfig, name: str) -> None:
    bad = np.flatnonzero(~np.isfinite(kept))
    if len(bad):
        value = given[bad[0]]
        reason = f"does not fit {config.dtype}" if np.isfinite(value) else "has no distances"
        raise InvalidArgumentError(
            f"{name}: element {bad[0]} of the vector is {value}, which {reason}; clean or scale it"
        )
    raise InvalidArgumentError(
        f"{name}: the vector is so long (|v|² > {np.finfo(np.float32).max:.3g}) that distances overflow; scale it"
    )


def matrix_from_python(vectors: Any, config: CollectionConfig) -> pa.Array:
    """Vectors given as an array, or a list of arrays or lists → an Arrow list array (canonical_vectors checks it)."""
    if isinstance(vectors, (pa.Array, pa.ChunkedArray)):
        return vectors.combine_chunks() if isinstance(vectors, pa.ChunkedArray) else vectors
    for row, vector in enumerate(vectors if isinstance(vectors, (list, tuple)) else ()):
        if vector is None:
            raise InvalidArgumentError(f"row {row}: the vector is missing; give every row a vector")
    if isinstance(vectors, (list, tuple)) and not len(vectors):
        return pa.array([], vector_type(config))
    try:
        matrix = np.asarray(vectors)
        if matrix.dtype == object:
            matrix = np.stack([np.asarray(vector) for vector in matrix])
    except ValueError:
        raise _ragged(vectors, config) from None
    if matrix.dtype == object or matrix.dtype.kind not in "fiu":
        raise SchemaError(f"column 'vector' has elements of type {matrix.dtype}; vectors are lists of floats")
    if matrix.ndim != 2:
        raise DimensionMismatchError(f"vectors have the shape [rows, {config.dimension}], not {list(matrix.shape)}")
    if matrix.shape[1] != config.dimension:
        raise DimensionMismatchError(
            f"the vectors have {matrix.shape[1]} dimensions; collection {config.name!r} has {config.dimension}"
        )
    flat = np.ascontiguousarray(matrix).reshape(-1)
    if flat.dtype.itemsize > 8 or not flat.dtype.isnative:
        flat = flat.astype(np.float64)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), config.dimension)


def _ragged(vectors: Any, config: CollectionConfig) -> InvalidArgumentError:
    for row, vector in enumerate(vectors):
        try:
            shape = np.asarray(vector).shape
        except ValueError:
            return DimensionMismatchError(f"row {row}: the vector is a ragged nested list; it must be a flat list")
        if shape != (config.dimension,):
            size = shape[0] if len(shape) == 1 else list(shape)
            return DimensionMismatchError(
                f"row {row}: the vector has {size} dimensions; collection {config.name!r} has {config.dimension}"
            )
    return InvalidArgumentError("the vectors cannot be read as numbers; give lists of floats or a 2-D array")
