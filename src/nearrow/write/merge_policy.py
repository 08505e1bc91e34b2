"""Merge policy: which segments should become one, and which need a graph?

A pure function of the segments' sizes. A search walks one graph per segment, so few segments are the aim: when there are
more than SEGMENTS_MAX, the smallest are merged, and with them every segment that is no bigger than what is merged
already, so that a row is copied O(log n) times.
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


@dataclass(frozen=True)
class Merge:
    ids: tuple[str, ...]


@dataclass(frozen=True)
class BuildGraph:
    id: str


Job = Merge | BuildGraph


def next_job(segments: Sequence[SegmentSize], graph_rows_min: int) -> Job | None:
    """The most useful thing to do now; None when the collection is in good order.

    A segment of less than `graph_rows_min` rows is scanned: faster than a walk, and the next merge would throw its graph
    away.
    """
    empty = tuple(segment.id for segment in segments if segment.alive == 0)
    if empty:
        return Merge(empty)
    if len(segments) > SEGMENTS_MAX:
        return Merge(_smallest(segments))
    for segment in sorted(segments, key=lambda s: s.alive - s.rows):
        dead = segment.rows - segment.alive
        if 2 * dead >= graph_rows_min and dead > DEAD_SHARE_MAX * segment.rows:
            return Merge((segment.id,))
    for segment in sorted(segments, key=lambda s: -s.alive):
        if not segment.has_graph and segment.rows >= graph_rows_min:
            return BuildGraph(segment.id)
    return None


def _smallest(segments: Sequence[SegmentSize]) -> tuple[str, ...]:
    ascending = sorted(segments, key=lambda s: s.alive)
    chosen = ascending[: len(segments) - SEGMENTS_MAX + 1]
    merged = sum(segment.alive for segment in chosen)
    for segment in ascending[len(chosen) :]:
        if segment.alive > merged:
            break
        chosen.append(segment)
        merged += segment.alive
    return tuple(segment.id for segment in chosen)
