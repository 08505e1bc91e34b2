"""Merge policy: which job comes next?"""

from __future__ import annotations

from itertools import count

from nearrow.write.merge_policy import SEGMENTS_MAX, BuildGraph, Limits, Merge, SegmentSize, next_job

LIMITS = Limits(graph_rows_min=2048)
NUMBERS = count()


def size(name: str, rows: int, *, alive: int | None = None, age: float = 0.0) -> SegmentSize:
    return SegmentSize(name, rows, rows if alive is None else alive, rows >= LIMITS.graph_rows_min, age)


def settle(segments: list[SegmentSize], limits: Limits) -> tuple[list[SegmentSize], int]:
    """Work off every job as a merge would; returns the segments and how many rows were copied."""
    copied = 0
    while (job := next_job(segments, limits)) is not None:
        assert isinstance(job, Merge)
        alive = sum(segment.alive for segment in segments if segment.id in job.ids)
        segments = [segment for segment in segments if segment.id not in job.ids]
        if alive:
            segments.append(size(f"merged-{next(NUMBERS)}", alive))
        copied += alive
    return segments, copied


def test_collection_in_good_order_is_left_alone() -> None:
    assert next_job([], LIMITS) is None
    assert next_job([size("a", 100_000), size("b", 9_000, alive=8_000)], LIMITS) is None


def test_a_thousand_changes_in_small_segments_are_merged() -> None:
    assert next_job([size("big", 100_000), size("a", 400), size("b", 600)], LIMITS) is None
    assert next_job([size("big", 100_000), size("a", 400), size("b", 601)], LIMITS) == Merge(("a", "b"))
    assert next_job([size("a", 400, alive=390), size("b", 600)], LIMITS) == Merge(("a", "b")), (
        "a delete is a change, too"
    )


def test_small_segments_are_merged_after_an_hour() -> None:
    assert next_job([size("a", 10, age=3599), size("b", 10)], LIMITS) is None
    assert next_job([size("a", 10, age=3600), size("b", 10)], LIMITS) == Merge(("a", "b"))
    assert next_job([size("a", 10, age=9999)], LIMITS) is None, "one alone has nothing to be merged with"


def test_few_segments_stay_however_the_rows_came_and_none_is_copied_often() -> None:
    segments: list[SegmentSize] = []
    copied = 0
    for number in range(200):
        segments, more = settle([*segments, size(f"sealed-{number}", 8192)], LIMITS)
        copied += more
        assert len(segments) <= SEGMENTS_MAX
    assert sum(segment.alive for segment in segments) == 200 * 8192
    assert copied <= 8 * 200 * 8192


def test_no_merge_makes_more_rows_than_memory_allows() -> None:
    limits = Limits(graph_rows_min=2048, rows_max=30_000)
    segments: list[SegmentSize] = []
    for number in range(20):
        segments, _ = settle([*segments, size(f"sealed-{number}", 8192)], limits)
    assert max(segment.alive for segment in segments) <= 30_000
    assert len(segments) <= 8, "those that may be merged, are"


def test_dead_rows_are_merged_away_when_they_are_a_fifth() -> None:
    assert next_job([size("a", 100_000, alive=80_000)], LIMITS) is None
    assert next_job([size("a", 100_000, alive=79_999)], LIMITS) == Merge(("a",))
    assert next_job([size("a", 100_000), size("b", 5_000, alive=0)], LIMITS) == Merge(("b",))


def test_biggest_segment_gets_its_graph_first() -> None:
    bare = [SegmentSize("a", 3_000, 3_000, False), SegmentSize("b", 9_000, 9_000, False)]
    assert next_job(bare, LIMITS) == BuildGraph("b")
