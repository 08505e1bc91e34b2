"""Filtered matrix: what rate and recall has Nearrow at each selectivity and correlation, and which way does it take?

    python -m benchmarks.filtered_matrix [--queries 100] [--ef 100]

WordNet with its own columns and two planted ones (benchmarks/workload.py), one query at a time through
Collection.search, no peers: those are in `python -m benchmarks.run --stages filter`. Writes a Markdown table, the
figures and (with matplotlib) a plot to benchmarks/results/filtered-matrix.{md,json,svg}. Without --ef the beam follows
from the default target_recall. Only every second query of the workload is asked: the others served to choose constants.
"first" is the time of the first query under a condition that was never asked, the filter's evaluation included. "of the
unfiltered": of the rate of random queries without a filter, asked in turns with it, so that a neighbour slows down both.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

import nearrow
from benchmarks import workload
from benchmarks.data import Dataset, cache_folder, load
from benchmarks.results import FOLDER
from benchmarks.tables import markdown
from nearrow.collection import Collection

OPERATORS = {"=": "$eq", "<": "$lt", ">=": "$gte"}
K = 10
PASSES = 5
RECALL_MIN = 0.95
SHARE_OF_UNFILTERED_MIN = 0.3


def opened(data: Dataset, folder: Path) -> Collection:
    """The collection with all columns, written once and kept beside the other indexes."""
    fresh = not folder.exists()
    database = nearrow.connect(str(folder), read_only=not fresh)
    if fresh:
        rows = workload.table(data)
        collection = database.create_collection("rows", dimension=data.base.shape[1], metric=data.metric)
        collection.add(rows.rename_columns(["id", *rows.column_names[1:]]))
        collection.compact()
    return database.collection("rows")


def answered(collection: Collection, queries: np.ndarray, arguments: dict[str, Any]) -> tuple[float, list[Any]]:
    """(seconds a query, the hits of each) of one query at a time."""
    began = time.perf_counter()
    hits = [collection.search(query, **arguments) for query in queries]
    for one in hits:
        _ = one.ids
    return (time.perf_counter() - began) / len(queries), hits


def measured(
    collection: Collection, data: Dataset, unit: np.ndarray, name: str | None, numbers: list[int], ef: int | None
) -> dict[str, Any]:
    """Rate, recall by distance, answers that are too short, and how the filter was met, of one cell."""
    where, passes = None, np.ones(len(data.base), bool)
    if name is not None:
        condition = workload.CONDITIONS[name]
        where = {condition.column: {OPERATORS[condition.operator]: condition.value}}
        passes = workload.accepted(data, condition)
    queries = np.ascontiguousarray(data.queries[numbers[1::2]])
    wanted = min(K, int(passes.sum()))
    nearest = queries / np.linalg.norm(queries, axis=1, keepdims=True) @ unit[passes].T
    limits = 1 - np.partition(nearest, -wanted, axis=1)[:, -wanted]
    arguments: dict[str, Any] = {"k": K, "where": where, "ef_search": ef, "columns": []}
    began = time.perf_counter()
    _ = collection.search(queries[0], **arguments).ids
    first = time.perf_counter() - began
    plain = np.ascontiguousarray(data.queries[1 : 2 * len(queries) : 2])
    best, unfiltered, hits = float("inf"), float("inf"), []
    for _ in range(PASSES):
        taken, hits = answered(collection, queries, arguments)
        best = min(best, taken)
        unfiltered = min(unfiltered, answered(collection, plain, {**arguments, "where": None})[0])
    good = [int((one.distances <= limit + 2e-6).sum()) for one, limit in zip(hits, limits, strict=True)]
    (part,) = collection.search(queries[0], **arguments, explain=True).explanation.plan.parts
    return {
        "rows": int(passes.sum()),
        "qps": 1 / best,
        "of_unfiltered": unfiltered / best,
        "first_us": first * 1e6,
        "recall": sum(good) / (wanted * len(good)),
        "short": sum(len(one) < wanted for one in hits),
        "way": part.strategy,
        "code_distances": part.measured.get("code_distances", 0),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=200, help="half of them are asked")
    parser.add_argument("--ef", type=int)
    parser.add_argument("--folder", type=Path, default=cache_folder() / "indexes" / "wordnet" / "filtered-matrix")
    parser.add_argument("--results", type=Path, default=FOLDER)
    options = parser.parse_args()
    data = load("wordnet")
    unit = data.base / np.linalg.norm(data.base, axis=1, keepdims=True)
    collection = opened(data, options.folder)
    every = list(range(options.queries))
    cells: dict[str, dict[str, Any]] = {"none": measured(collection, data, unit, None, every, options.ef)}
    for name in workload.NATURAL:
        cells[name] = measured(collection, data, unit, name, every, options.ef)
    for correlation in workload.CORRELATIONS:
        numbers = workload.queries_for(data, correlation, options.queries)
        for share in workload.SELECTIVITIES:
            name = workload.planted_name(share, correlation)
            cells[f"{share:.2%} {correlation}"] = measured(collection, data, unit, name, numbers, options.ef)
    rows = []
    for case, cell in cells.items():
        ratio = cell["of_unfiltered"]
        marks = (
            " ✗" if cell["recall"] < RECALL_MIN else "",
            " ✗" if ratio < SHARE_OF_UNFILTERED_MIN else "",
        )
        rate = f"{cell['qps']:,.0f}"
        recall = f"{cell['recall']:.3f}{marks[0]}"
        rows.append(
            [
                case,
                f"{cell['rows']:,}",
                recall,
                rate,
                f"{ratio:.2f}{marks[1]}",
                f"{cell['first_us']:,.0f} µs",
                str(cell["short"]),
                cell["way"],
            ]
        )
        print(*rows[-1], cell["code_distances"], sep=" | ", flush=True)
    header = ["filter", "rows that pass", "recall@10", "QPS", "of the unfiltered", "first", "short", "way"]
    beam = f"ef {options.ef}" if options.ef else "default target_recall"
    table = f"# Filtered search, WordNet, {beam}\n\n{markdown(header, rows)}\n"
    (options.results / "filtered-matrix.md").write_text(table)
    (options.results / "filtered-matrix.json").write_text(json.dumps({"beam": beam, "cells": cells}, indent=1) + "\n")
    try:
        from benchmarks.plots import plot_filters
    except ImportError as missing:
        print(f"no plot: {missing.name} is not installed here; it is in .venv-bench")
        return
    plot_filters({f"nearrow, {beam}": cells}, options.results / "filtered-matrix.svg")


if __name__ == "__main__":
    main()
