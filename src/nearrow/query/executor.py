"""Executor: how does a query become hits?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearrow.errors import NotFoundError
from nearrow.hits import Hits
from nearrow.query.accept import Accept
from nearrow.query.nearest import Found, search
from nearrow.query.query import Vector, VectorQuery
from nearrow.schema import nearest_name
from nearrow.segment.view import View


def vector_search(
    view: View,
    metric: str,
    queries: Vector,
    query: VectorQuery,
    accept: Sequence[Accept],
    columns: Sequence[str] | None,
    threads: int,
) -> list[Hits]:
    """Hits for each row of `queries` [b, d]."""
    chosen = chosen_columns(view.schema, columns)
    found = search(view, metric, queries, query, accept, threads=threads)
    return [vector_hits(view, metric, one, chosen) for one in found]


def vector_hits(view: View, metric: str, found: Found, columns: Sequence[str]) -> Hits:
    """Hits that read their ids and columns from the view when asked."""
    return Hits(
        lambda: ids_of(view, found),
        found.distance,
        scores_of(metric, found.distance),
        lambda: view.take(found.owner, found.position, columns),
    )


def ids_of(view: View, found: Found) -> npt.NDArray[np.object_] | npt.NDArray[np.int64]:
    """The ids of the rows found."""
    if len(view.parts) == 1:
        return view.parts[0].ids_at(found.position)
    integers = pa.types.is_int64(view.schema.field("id").type)
    ids = np.empty(len(found), np.int64 if integers else object)
    for index in np.unique(found.owner):
        here = found.owner == index
        ids[here] = view.parts[int(index)].ids_at(found.position[here])
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
        if schema.get_field_index(name) < 0:
            raise NotFoundError(f"no column {name!r}{nearest_name(str(name), schema.names)}")
    return wanted
