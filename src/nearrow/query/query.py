"""Query: what is asked of a view, once the arguments have been checked?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from nearrow.errors import DimensionMismatchError, InvalidArgumentError

Vector = npt.NDArray[np.float32]

TARGET_RECALL = 0.95


@dataclass(frozen=True)
class VectorQuery:
    """The nearest k rows, or those within a distance.

    ef_search None: the beam follows from target_recall. exact: brute force. within: only distance ≤ within; k None: all.
    """

    k: int | None = 10
    ef_search: int | None = None
    target_recall: float = TARGET_RECALL
    exact: bool = False
    within: float | None = None

    @cached_property
    def unbounded(self) -> VectorQuery:
        """The same without a largest distance."""
        return VectorQuery(self.k, self.ef_search, self.target_recall, self.exact)

    @cached_property
    def walk_k(self) -> int | None:
        """k, if one walk of a graph answers; None if every row is measured, or all within a distance are asked for."""
        return None if self.exact or self.within is not None else self.k

    def __post_init__(self) -> None:
        if self.k is None and self.within is None:
            raise InvalidArgumentError("k=None (all rows) needs within=…, the largest distance; or give a k")
        if self.k is not None:
            check_positive("k", self.k)
        if self.ef_search is not None:
            check_positive("ef_search", self.ef_search)
        if not _is_number(self.target_recall) or not 0 < self.target_recall <= 1:
            raise InvalidArgumentError(f"target_recall must be in (0, 1], not {self.target_recall!r}")
        if self.within is not None and (not _is_number(self.within) or math.isnan(self.within)):
            raise InvalidArgumentError(f"within must be a distance, not {self.within!r}")


_FLOAT32 = np.dtype(np.float32)
_LAID_OUT = 0x1 | 0x100
"""NumPy's flags for C-contiguous and aligned arrays."""

_remembered = lru_cache(maxsize=256, typed=True)(VectorQuery)


def vector_query(
    k: int | None, ef_search: int | None, target_recall: float, exact: bool, within: float | None
) -> VectorQuery:
    """A VectorQuery; the same object for the same arguments, for most searches ask like the one before."""
    try:
        return _remembered(k, ef_search, target_recall, exact, within)
    except TypeError:  # an argument that cannot be hashed is a mistake: the checks name it
        return VectorQuery(k, ef_search, target_recall, exact, within)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def check_positive(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InvalidArgumentError(f"{name} must be an integer of at least 1, not {value!r}")


def query_vectors(vector: Any, dimension: int, metric: str, name: str = "vector") -> Vector:
    """`vector` as float32 [dimension] or [queries, dimension], C-contiguous and aligned.

    Raises DimensionMismatchError for another last dimension, InvalidArgumentError for NaN, Inf, a zero vector under
    cosine, or anything that is no array of numbers.
    """
    try:
        found = np.asarray(vector)
        # Comparing a dtype with a type makes a dtype first; most vectors have the very one.
        plain = found.dtype is _FLOAT32 or found.dtype == _FLOAT32
        if not plain or found.flags.num & _LAID_OUT != _LAID_OUT:
            if found.dtype.kind not in "fiu":
                raise TypeError(f"its elements are {found.dtype}")
            found = np.require(found, np.float32, ("C", "A"))
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(f"{name} must be an array of numbers, 1-D or 2-D: {error}") from None
    if found.ndim not in (1, 2):
        raise InvalidArgumentError(f"{name} must be 1-D (one query) or 2-D (a batch), not {found.ndim}-D")
    if found.shape[-1] != dimension:
        raise DimensionMismatchError(
            f"{name} has {found.shape[-1]} dimensions, the collection has {dimension}; use the model that made its vectors"
        )
    flat = found if found.ndim == 1 else found.reshape(-1)
    squares = float(flat.dot(flat))  # one pass: finite, and not zero, in the usual case
    if not math.isfinite(squares) and not np.isfinite(found).all():
        raise InvalidArgumentError(f"{name} contains NaN or infinity; clean it before searching")
    if metric == "cosine" and (found.ndim == 2 or squares == 0.0) and not found.any(axis=-1).all():
        raise InvalidArgumentError(
            f"{name} is all zeros, which has no direction: cosine is undefined; use another metric"
        )
    return found
