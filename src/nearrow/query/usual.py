"""Usual: how is the usual question answered with the least code: one float32 vector, all rows in one segment with a graph?

Between two searches a walk has replaced most of what a core's caches held, so every function, object and check around it
is fetched from memory again: a microsecond each, beside a walk of fifty. This way asks nothing that the kernel asks too.
For every other question, and for whatever is wrong with one, it says None: `executor` answers, or says what is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

from nearrow.errors import InvalidArgumentError
from nearrow.hits import Hits
from nearrow.query.executor import Source
from nearrow.query.filter import Filter
from nearrow.query.hit_rows import NearestRows, chosen_columns
from nearrow.query.nearest import Found, owner_zero, walk_one
from nearrow.query.query import Vector, VectorQuery
from nearrow.segment.part import SegmentPart
from nearrow.segment.view import View


def usual_nearest(
    source: Source, vector: Vector, query: VectorQuery, where: Filter | None
) -> tuple[View, Found] | None:
    """The newest view and the rows of it that are nearest to a vector [d]; None if the question is another one."""
    k = query.walk_k
    view = source.newest()
    parts = view.parts
    if k is None or len(parts) != 1:
        return None
    graph = parts[0].graph
    allowed = source.filters.accept(view, where)[0]
    if graph is None or allowed.count == 0:
        return None
    try:
        positions, distances = walk_one(graph, vector, k, query, allowed)
    except (InvalidArgumentError, TypeError):  # another dimension, NaN, zeros, or no float32 [d]
        return None
    return view, Found(owner_zero(len(positions)), positions, distances)


def usual_hits(
    source: Source, vector: Vector, query: VectorQuery, where: Filter | None, columns: Sequence[str] | None
) -> Hits | None:
    """The same as Hits."""
    answer = usual_nearest(source, vector, query, where)
    if answer is None:
        return None
    view, found = answer
    if columns is not None:
        columns = chosen_columns(view.schema, columns)
    return Hits(NearestRows(view, source.metric, found, columns), found.distance)


def usual_packed(source: Source, vector: Vector, query: VectorQuery, where: Filter | None) -> bytes | None:
    """The same hits in the compact form of docs/protocol.md, for a server: without an object for each."""
    answer = usual_nearest(source, vector, query, where)
    if answer is None:
        return None
    view, found = answer
    part = view.parts[0]
    return part.pack_hits(found.position, found.distance) if isinstance(part, SegmentPart) else None
