"""Strategies: which rows and writes does Hypothesis try?

Ids come from a small pool, so that writes meet each other; coordinates are small integers, so that distances are exact in
any precision and many of them tie. Needs hypothesis.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from nearrow.testing.model import Operation, Row

DIMENSION = 4
STRING_IDS = [f"id-{number}" for number in range(24)] + ["ü", "日本", "a b", "Ω" * 60]
INTEGER_IDS = [*range(20), -1, -(2**62), 2**62, 2**63 - 1]
TEXTS = ["", "a star", "the star of the sea", "naïve café", "line\nbreak", "x" * 300]


def vectors() -> st.SearchStrategy[list[float]]:
    """Coordinates from -3 to 3, drawn as one number, for speed; never zero, so that they are right for every metric."""

    def decode(number: int) -> list[float]:
        found = [float(number // 7**place % 7 - 3) for place in range(DIMENSION)]
        return found if any(found) else [1.0] * DIMENSION

    return st.integers(0, 7**DIMENSION - 1).map(decode)


def ids(integers: bool) -> st.SearchStrategy[Any]:
    return st.sampled_from(INTEGER_IDS if integers else STRING_IDS)


def metadata() -> dict[str, st.SearchStrategy[Any]]:
    return {
        "text": st.none() | st.sampled_from(TEXTS),
        "year": st.none() | st.integers(-5, 2030),
        "tags": st.none() | st.lists(st.sampled_from(["red", "green", "blue"]), max_size=3),
        "place": st.none()
        | st.fixed_dictionaries({"x": st.integers(0, 9), "name": st.sampled_from(["here", "there"])}),
        "note": st.none() | st.sampled_from(["one", "two"]),
    }


def rows(integers: bool) -> st.SearchStrategy[list[Row]]:
    """One batch of whole rows; ids may repeat. Not every batch knows every column."""
    columns = metadata()

    def of(chosen: set[str]) -> st.SearchStrategy[list[Row]]:
        fixed = {"id": ids(integers), "vector": vectors(), **{name: columns[name] for name in sorted(chosen)}}
        return st.lists(st.fixed_dictionaries(fixed), min_size=1, max_size=12)

    return st.sets(st.sampled_from(sorted(columns)), max_size=3).flatmap(of)


def changes(integers: bool) -> st.SearchStrategy[list[Row]]:
    """One batch for update: unique ids and some columns."""
    columns: dict[str, st.SearchStrategy[Any]] = {"vector": vectors(), **metadata()}

    def of(chosen: set[str]) -> st.SearchStrategy[list[Row]]:
        fixed = {"id": ids(integers), **{name: columns[name] for name in sorted(chosen)}}
        return st.lists(st.fixed_dictionaries(fixed), min_size=1, max_size=6, unique_by=lambda row: row["id"])

    return st.sets(st.sampled_from(sorted(columns)), min_size=1, max_size=2).flatmap(of)


def writes(integers: bool) -> st.SearchStrategy[Operation]:
    """One write that is not a transaction."""
    return st.one_of(
        st.tuples(st.just("upsert"), rows(integers)),
        st.tuples(st.just("add"), rows(integers)),
        st.tuples(st.just("update"), changes(integers)),
        st.tuples(st.just("delete"), st.lists(ids(integers), max_size=8)),
    )


def transactions(integers: bool) -> st.SearchStrategy[Operation]:
    return st.tuples(st.just("transaction"), st.lists(writes(integers), max_size=4))


def bulks(integers: bool) -> st.SearchStrategy[Operation]:
    """More rows than a memtable holds, from a wider pool of ids; a stride makes them overlap what is there."""

    def make(first: int, count: int, stride: int, kind: str) -> Operation:
        numbers = [first + stride * step for step in range(count)]
        found = [
            {
                "id": number if integers else f"bulk-{number}",
                "vector": [float(number % 7 - 3), float(number % 5), float(number % 3), 1.0],
                "year": number,
            }
            for number in numbers
        ]
        return (kind, found)

    return st.builds(
        make,
        st.integers(0, 100),
        st.integers(40, 120),
        st.sampled_from([0, 1, 1, 3]),
        st.sampled_from(["add", "upsert"]),
    )
