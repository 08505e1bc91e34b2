"""Filter rates: how long does one condition take over a million rows, cold and asked again, and how long a facet?

    python -m benchmarks.filter_rates [--rows N] [--results FOLDER]

Through `Collection.count` and `Collection.facets`, over one segment in memory whose columns are made up: numbers, times, a
flag, a string of twenty values, a string of its own for each row, lists of tags, a struct. Each pass of a condition has
another operand, so that no answer is remembered ("cold": the best pass); then the last one is asked again. "first" is the
first pass, on a collection of its own that was asked nothing about this field before: the column is checked and touched
for the first time and, by some conditions and by facets of values, its values are numbered. Every later count of a facet,
here under another filter each time, uses the numbers. In milliseconds, Python's garbage collector switched off. Writes
benchmarks/results/filter-rates.md.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import nearrow
from benchmarks.results import FOLDER
from benchmarks.tables import markdown
from nearrow.collection import Collection

PASSES = 7
TOPICS = ("act", "animal", "body", "cognition", "event", "food", "group", "plant", "state", "time")
SECTIONS = [f"{kind}.{topic}" for kind in ("noun", "verb") for topic in TOPICS]
TAGS = [f"tag{number:02d}" for number in range(50)]
CONDITIONS: dict[str, Callable[[int], dict[str, Any]]] = {
    "number ≥": lambda i: {"n": {"$gte": 500_000 + i}},
    "number between": lambda i: {"n": {"$between": [100_000 + i, 600_000]}},
    "number $in 100,000": lambda i: {"n": {"$in": list(range(i, 1_000_000, 10))}},
    "float <": lambda i: {"x": {"$lt": 0.25 + i / 100}},
    "time ≥": lambda i: {"at": {"$gte": datetime.datetime(2020, 1, 1) + datetime.timedelta(days=i)}},
    "struct's number =": lambda i: {"place.floor": i},
    "string =": lambda i: {"section": SECTIONS[i]},
    "string ≠": lambda i: {"section": {"$ne": SECTIONS[i]}},
    "string $in 3": lambda i: {"section": {"$in": SECTIONS[i : i + 3]}},
    "string $in 100,000": lambda i: {"name": {"$in": [f"n{number:07d}" for number in range(i, 1_000_000, 10)]}},
    "$startsWith": lambda i: {"name": {"$startsWith": f"n000{i}"}},
    "$endsWith": lambda i: {"name": {"$endsWith": f"{i}7"}},
    "$contains (string)": lambda i: {"section": {"$contains": TOPICS[i]}},
    "$like '%…%'": lambda i: {"section": {"$like": f"%{TOPICS[i][:4]}%"}},
    "$regex": lambda i: {"section": {"$regex": f"a.{'abcdefgh'[i]}"}},
    "$exists": lambda i: {("x", "n", "section", "name", "at", "tags", "flag")[i]: {"$exists": True}},
    "list $contains": lambda i: {"tags": {"$contains": TAGS[i]}},
    "list $any 3": lambda i: {"tags": {"$any": TAGS[i : i + 3]}},
}
FACETS: dict[str, Any] = {
    "values of a string (20)": "section",
    "values of a list (50)": "tags",
    "values of a number (1,000)": "group",
    "values without case": {"field": "section", "name": "folded", "case_insensitive": True},
    "five ranges": {
        "field": "n",
        "name": "ranges",
        "ranges": [[low, low + 200_000] for low in range(0, 10**6, 200_000)],
    },
    "min, max, average": {"field": "x", "name": "statistics", "stats": True},
}


def rows_of(count: int) -> pa.Table:
    random = np.random.default_rng(0)
    lengths = random.integers(0, 5, count)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    tags = pa.DictionaryArray.from_arrays(random.integers(0, len(TAGS), int(offsets[-1])), TAGS).cast(pa.string())
    sections = pa.DictionaryArray.from_arrays(random.integers(0, len(SECTIONS), count), SECTIONS).cast(pa.string())
    numbers = np.arange(count)
    return pa.table(
        {
            "id": numbers,
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(random.random(4 * count, np.float32)), 4),
            "n": random.permutation(count),
            "group": random.integers(0, 1_000, count),
            "x": pa.array(random.random(count), mask=random.random(count) < 0.1),
            "at": pa.array(1_500_000_000_000_000 + random.integers(0, 10**15, count), pa.timestamp("us")),
            "flag": random.random(count) < 0.5,
            "section": sections,
            "name": [f"n{number:07d}" for number in numbers],
            "tags": pa.ListArray.from_arrays(pa.array(offsets), tags),
            "place": pa.StructArray.from_arrays([pa.array(random.integers(0, 20, count))], ["floor"]),
        }
    )


def milliseconds(call: Callable[..., object], *arguments: Any, **named: Any) -> float:
    began = time.perf_counter()
    call(*arguments, **named)
    return (time.perf_counter() - began) * 1e3


Make = Callable[[], Collection]


def condition_rows(make: Make) -> list[Sequence[str]]:
    rows = []
    for name, where in CONDITIONS.items():
        collection = make()
        asked = [where(number) for number in range(PASSES)]
        passes = [milliseconds(collection.count, one) for one in asked]
        again = min(milliseconds(collection.count, asked[-1]) for _ in range(PASSES))
        rows.append(
            [name, f"{collection.count(asked[-1]):,}", f"{passes[0]:.2f}", f"{min(passes):.2f}", f"{again:.3f}"]
        )
        print(*rows[-1], sep=" | ", flush=True)
    return rows


def facet_rows(make: Make) -> list[Sequence[str]]:
    halves = [{"n": {"$gte": 500_000 + number}} for number in range(PASSES)]
    rows = []
    for name, facet in FACETS.items():
        collection = make()
        for where in halves:
            collection.count(where)  # the filter's own time is told above
        first = milliseconds(collection.facets, [facet])
        every = min(milliseconds(collection.facets, [facet]) for _ in range(PASSES))
        half = min(milliseconds(collection.facets, [facet], where=where) for where in halves)
        rows.append([name, f"{first:.1f}", f"{every:.1f}", f"{half:.1f}"])
        print(*rows[-1], sep=" | ", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--results", type=Path, default=FOLDER)
    options = parser.parse_args()
    rows = rows_of(options.rows)

    def make() -> Collection:
        collection = nearrow.connect(":memory:").create_collection(
            "rows", dimension=4, metric="l2", graph_rows_min=10**9
        )
        collection.add(rows)
        collection.flush()
        collection.count({"flag": True})
        return collection

    gc.disable()  # it would run in the middle of a first pass
    heads = ["condition", "rows that pass", "first, ms", "cold, ms", "again, ms"]
    conditions = markdown(heads, condition_rows(make))
    facets = markdown(["facet", "first, ms", "all rows, ms", "half of them, ms"], facet_rows(make))
    text = f"# Filters and facets over {options.rows:,} rows\n\n{conditions}\n\n{facets}\n"
    (options.results / "filter-rates.md").write_text(text)


if __name__ == "__main__":
    main()
