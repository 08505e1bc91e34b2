"""Workload: which rows, conditions and words do the database benchmarks ask about?

Rows are WordNet's, with their metadata and two planted columns, so that a filter of any selectivity exists:
`random_rank` is a random order (a filter on it has nothing to do with the query); `anchor_rank` orders rows by nearness
to one row, the anchor, so `anchor_rank < s·n` keeps the s·n rows around it: asked with queries nearest to the anchor
it is correlated (the answers are inside), with those farthest from it anti-correlated (they are all far away).
"""

from __future__ import annotations

import functools

import numpy as np
import pyarrow as pa

from benchmarks.data import Dataset, distances_to, exact_nearest, wordnet_table
from benchmarks.engines import Condition, K

ROWS = 115_659
SELECTIVITIES = (0.0001, 0.001, 0.003, 0.01, 0.05, 0.10, 0.40, 0.90)
CORRELATIONS = ("uncorrelated", "correlated", "anti-correlated")
ANCHOR = 4_242
NATURAL = {
    "n_words >= 8": Condition("n_words", ">=", 8),
    "pos = adj": Condition("pos", "=", "adj"),
    "lexname = noun.plant": Condition("lexname", "=", "noun.plant"),
    "lexname = verb.weather": Condition("lexname", "=", "verb.weather"),
}
CONDITIONS = dict(NATURAL)
for _share in SELECTIVITIES:
    for _column in ("random_rank", "anchor_rank"):
        CONDITIONS[f"{_column} < {_share:g}"] = Condition(_column, "<", max(1, round(_share * ROWS)))


def planted_name(share: float, correlation: str) -> str:
    return f"{'random_rank' if correlation == 'uncorrelated' else 'anchor_rank'} < {share:g}"


@functools.lru_cache(maxsize=1)
def planted_columns(dataset: Dataset) -> dict[str, np.ndarray]:
    rows = len(dataset.base)
    near = distances_to(dataset.base, dataset.base[ANCHOR % rows], np.arange(rows), dataset.metric)
    anchor_rank = np.empty(rows, np.int32)
    anchor_rank[np.argsort(near, kind="stable")] = np.arange(rows, dtype=np.int32)
    return {"random_rank": np.random.default_rng(5).permutation(rows).astype(np.int32), "anchor_rank": anchor_rank}


def table(dataset: Dataset) -> pa.Table:
    """Columns row, vector, text, pos, lexname, n_words, random_rank, anchor_rank."""
    source = wordnet_table().slice(0, len(dataset.base))
    flat = np.ascontiguousarray(dataset.base).ravel()
    planted = planted_columns(dataset)
    return pa.table(
        {
            "row": np.arange(len(source), dtype=np.int64),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(flat), dataset.base.shape[1]),
            "text": source["text"].cast(pa.string()),
            "pos": source["pos"].cast(pa.string()),
            "lexname": source["lexname"].cast(pa.string()),
            "n_words": source["n_words"].cast(pa.int32()),
            **{name: pa.array(values) for name, values in planted.items()},
        }
    )


def query_texts() -> list[str]:
    """The words that go with each query vector: the query gloss's own text."""
    return wordnet_table("queries")["text"].to_pylist()


def queries_for(dataset: Dataset, correlation: str, count: int) -> list[int]:
    """Numbers of the queries for a planted filter: any, or those nearest to or farthest from the anchor."""
    if correlation == "uncorrelated":
        return list(range(count))
    anchor = dataset.base[ANCHOR % len(dataset.base)]
    order = np.argsort(
        distances_to(dataset.queries, anchor, np.arange(len(dataset.queries)), dataset.metric), kind="stable"
    )
    return [int(number) for number in (order[:count] if correlation == "correlated" else order[::-1][:count])]


def accepted(dataset: Dataset, condition: Condition) -> np.ndarray:
    """Boolean mask of the rows for which the condition holds."""
    if condition.column.endswith("_rank"):
        values = planted_columns(dataset)[condition.column]
    else:
        values = wordnet_table()[condition.column].to_numpy()[: len(dataset.base)]
    compare = {"=": np.equal, "<": np.less, ">=": np.greater_equal}[condition.operator]
    return np.asarray(compare(values, condition.value), bool)


def truth(dataset: Dataset, where: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Exact answers (rows, distances) of all queries under a named condition, made once and kept beside the data."""
    if where is None:
        return dataset.truth, dataset.truth_distances
    folder = dataset.folder / "filtered"
    path = folder / (
        where.replace(" ", "").replace("<", "-below-").replace(">=", "-from-").replace("=", "-is-") + ".npz"
    )
    if not path.exists():
        folder.mkdir(exist_ok=True)
        mask = accepted(dataset, CONDITIONS[where])
        rows, distances = exact_nearest(dataset.base, dataset.queries, dataset.metric, K, accept=mask)
        np.savez(path, rows=rows, distances=distances)
    with np.load(path) as arrays:
        return arrays["rows"], arrays["distances"]
