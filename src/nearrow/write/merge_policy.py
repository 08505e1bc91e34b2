"""Merge policy: which segments should become one, and which need a graph?

A pure function of the segments' sizes and ages. A search walks one graph per segment, so few segments are the aim: when
there are more than SEGMENTS_MAX, the smallest are merged, and with them every segment that is no bigger than what is
merged already, so that a row is copied O(log n) times. Small segments, which have no graph, are merged when they hold
many changes or are old. No merge makes a segment of more rows than memory allows (`rows_max`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SEGMENTS_MAX = 4
DEAD_SHARE_MAX = 0.2


@dataclass(frozen=True)
class SegmentSize:
    id: str
    rows: int
    alive: int
    has_graph: bool
    age_seconds: float = 0.0


@dataclass(frozen=True)
class Limits:
    """When there is something to do."""

    graph_rows_min: int
    """A smaller segment is scanned: faster than a walk, and the next merge would throw its graph away."""
    rows_max: int = 2**31 - 1
    changes_max: int = 1000
    """Rows and deletes in small segments: more are merged."""
    age_seconds_max: float = 3600.0
    """Small segments that are older are merged."""


@dataclass(frozen=True)
class Merge:
    ids: tuple[str, ...]


@dataclass(frozen=True)
class BuildGraph:
    id: str


Job = Merge | BuildGraph


def next_job(segments: Sequence[SegmentSize], limits: Limits) -> Job | None:
    """The most useful thing to do now; None when the collection is in good order."""
    empty = tuple(segment.id for segment in segments if segment.alive == 0)
    if empty:
        return Merge(empty)
    if len(segments) > SEGMENTS_MAX:
        chosen = _smallest(segments, limits.rows_max)
        if len(chosen) > 1:
            return Merge(chosen)
    for segment in sorted(segments, key=lambda s: s.alive - s.rows):
        dead = segment.rows - segment.alive
        if 2 * dead >= limits.graph_rows_min and dead > DEAD_SHARE_MAX * segment.rows:
            return Merge((segment.id,))
    small = [segment for segment in segments if segment.rows < limits.graph_rows_min]
    if len(small) > 1:
        changes = sum(2 * segment.rows - segment.alive for segment in small)
        if changes > limits.changes_max or max(segment.age_seconds for segment in small) >= limits.age_seconds_max:
            return Merge(tuple(segment.id for segment in small))
    for segment in sorted(segments, key=lambda s: -s.alive):
        if not segment.has_graph and segment.rows >= limits.graph_rows_min:
            return BuildGraph(segment.id)
    return None


def _smallest(segments: Sequence[SegmentSize], rows_max: int) -> tuple[str, ...]:
    """The smallest segments, as many as are too many and those that cost little more; fewer if they would be too big."""
    ascending = sorted(segments, key=lambda s: s.alive)
    least = len(segments) - SEGMENTS_MAX + 1
    chosen: list[str] = []
    merged = 0
    for segment in ascending:
        if merged + segment.alive > rows_max or (len(chosen) >= least and segment.alive > merged):
            break
        chosen.append(segment.id)
        merged += segment.alive
    return tuple(chosen)
