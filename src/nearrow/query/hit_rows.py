"""Hit rows: what do hits read from their view, when they are asked for it?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearrow.errors import InvalidArgumentError, NotFoundError
from nearrow.query.cursor import Cursor
from nearrow.query.nearest import Found
from nearrow.query.ranked import Ranked
from nearrow.schema import nearest_name
from nearrow.segment.rows import Positions
from nearrow.segment.view import Part, View


class _Rows:
    """Of rows that were found. Every search makes one, so it holds what is known then, and works nothing out."""

    __slots__ = ("_columns", "_found", "_view")
    _view: View
    _found: Found | Ranked
    _columns: Sequence[str] | None

    def ids(self) -> npt.NDArray[Any]:
        return ids_of(self._view, self._found.owner, self._found.position)

    def columns(self) -> pa.Table:
        chosen = chosen_columns(self._view.schema, self._columns)
        return self._view.take(self._found.owner, self._found.position, chosen)


class NearestRows(_Rows):
    """Of the rows nearest to a vector."""

    __slots__ = ("_metric",)

    def __init__(self, view: View, metric: str, found: Found, columns: Sequence[str] | None) -> None:
        self._view = view
        self._found = found
        self._columns = columns
        self._metric = metric

    def scores(self) -> npt.NDArray[np.float32]:
        return scores_of(self._metric, self._found.distance)

    def cursor(self) -> str | None:
        found = self._found
        return Cursor.behind_nearest(found.owner, found.position, found.distance, self._view)


class RankedRows(_Rows):
    """Of rows ranked by whatever was asked. `paged`: whether a page can follow; `after`: the cursor that it followed."""

    __slots__ = ("_after", "_paged", "_ranked")

    def __init__(
        self, view: View, ranked: Ranked, columns: Sequence[str] | None, after: Cursor | None, *, paged: bool
    ) -> None:
        self._view = view
        self._found = self._ranked = ranked
        self._columns = columns
        self._after = after
        self._paged = paged

    def scores(self) -> npt.NDArray[np.float32]:
        return self._ranked.score

    def cursor(self) -> str | None:
        return Cursor.behind(self._ranked, self._view, self._after) if self._paged else None


def ids_of(view: View, owner: npt.NDArray[np.int32], position: Positions) -> npt.NDArray[Any]:
    """The ids of the rows found: an object array of str, or an int64 array."""
    parts = view.parts
    if len(parts) == 1:
        return _ids_at(parts[0], position)
    if len(owner) == 0:
        return np.empty(0, np.int64 if pa.types.is_int64(view.schema.field("id").type) else object)
    first = int(owner[0])
    if (owner == first).all():
        return _ids_at(parts[first], position)
    known = {int(index): _ids_at(parts[int(index)], position[owner == index]) for index in np.unique(owner)}
    ids: npt.NDArray[Any] = np.empty(len(owner), known[first].dtype)
    for index, found in known.items():
        ids[owner == index] = found
    return ids


def _ids_at(part: Part, position: Positions) -> npt.NDArray[Any]:
    ids = part.ids_at(position)
    if ids.dtype.kind == "O" and len(ids) and isinstance(ids[0], int):
        return ids.astype(np.int64)
    return ids


def scores_of(metric: str, distances: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Higher is better: the cosine, the dot product, or 1 / (1 + squared distance)."""
    if metric == "cosine":
        return np.float32(1) - distances
    if metric == "dot":
        return -distances
    return np.float32(1) / (np.float32(1) + distances)


def chosen_columns(schema: pa.Schema, columns: Sequence[str] | None) -> list[str]:
    """The columns that come back: by default all but the vector. NotFoundError names an unknown one."""
    if columns is None:
        return [name for name in schema.names if name != "vector"]
    wanted = [columns] if isinstance(columns, str) else list(columns)
    for name in wanted:
        if not isinstance(name, str):
            raise InvalidArgumentError(f"columns are named by strings, not {name!r:.60}")
        if schema.get_field_index(name) < 0:
            raise NotFoundError(f"no column {name!r}{nearest_name(name, schema.names)}")
    return wanted
