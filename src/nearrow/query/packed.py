"""Packed: how is a plain search answered in bytes, without an object for each hit?

A server answers thousands of these a second, each on a thread whose caches are cold: what counts is how little code runs.
So this is the way of the usual case only. For every other one, also for whatever is wrong with the question, it says
None, and the caller asks `executor`.
"""

from __future__ import annotations

from nearrow.errors import InvalidArgumentError
from nearrow.query.executor import Source
from nearrow.query.filter import Filter
from nearrow.query.nearest import walk_one
from nearrow.query.query import Vector, VectorQuery
from nearrow.segment.part import SegmentPart


def packed_nearest(
    source: Source, dimension: int, vector: Vector, query: VectorQuery, where: Filter | None
) -> bytes | None:
    """The hits in the compact form of docs/protocol.md, if all rows are in one segment that has a graph; else None."""
    view = source.newest()
    parts = view.parts
    if len(parts) != 1 or query.exact or query.k is None or query.within is not None or len(vector) != dimension:
        return None
    part = parts[0]
    if not isinstance(part, SegmentPart):
        return None
    graph = part.graph
    allowed = source.filters.accept(view, where)[0]
    if graph is None or allowed.count == 0:
        return None
    try:
        positions, distances = walk_one(graph, vector, query.k, query, allowed)
    except (InvalidArgumentError, TypeError):  # NaN, zeros, or not aligned
        return None
    return part.pack_hits(positions, distances)
