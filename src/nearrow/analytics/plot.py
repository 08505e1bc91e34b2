"""Plot: how good are searches for what they cost, how is the graph linked, and how do the rows lie?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nearrow.errors import InvalidArgumentError, NotFoundError

if TYPE_CHECKING:
    from nearrow.analytics.verbs import AnalyticVerbs

EF_VALUES = (10, 16, 24, 40, 64, 100, 160, 256)
SHOWN_VALUES = 9
SEED = 0


def plot_collection(
    docs: AnalyticVerbs, path: str | os.PathLike[str] | None, *, color: str | None, sample: int, k: int, queries: int
) -> Any:
    """The three pictures side by side, as a matplotlib Figure; written to `path` if one is given."""
    if find_spec("matplotlib") is None:
        raise InvalidArgumentError("plot() needs matplotlib; run: pip install nearrow[plot]")
    schema = docs._view().schema
    if color is not None and schema.get_field_index(color) < 0:
        raise NotFoundError(f"no column {color!r} to colour by; there are: {', '.join(schema.names)}")
    if len(docs) == 0:
        raise InvalidArgumentError(f"{docs.name!r} holds no rows; there is nothing to draw")
    figure = import_module("matplotlib.figure").Figure(figsize=(16, 5), layout="constrained")
    recall, degrees, rows = figure.subplots(1, 3)
    chosen = _sample(docs, max(sample, queries), color)
    vectors = _matrix(chosen)
    _draw_recall(recall, docs, vectors[:queries], k)
    _draw_degrees(degrees, docs)
    _draw_rows(rows, vectors[:sample], None if color is None else chosen.column(color).to_pylist()[:sample], color)
    figure.suptitle(f"{docs.name}: {len(docs):,} rows, {docs.config.dimension} dimensions, {docs.config.metric}")
    if path is not None:
        figure.savefig(path, dpi=120)
    return figure


def _sample(docs: AnalyticVerbs, count: int, color: str | None) -> Any:
    """So many rows, chosen by chance."""
    view = docs._view()
    parts = [np.flatnonzero(_alive(part)) for part in view.parts]
    owner = np.concatenate([np.full(len(found), index, np.int32) for index, found in enumerate(parts)])
    position = np.concatenate(parts)
    order = np.random.default_rng(SEED).permutation(len(owner))[:count]
    return view.take(owner[order], position[order], ["vector"] if color is None else ["vector", color])


def _alive(part: Any) -> npt.NDArray[np.bool_]:
    if part.alive is None:
        return np.ones(part.rows, np.bool_)
    return np.unpackbits(part.alive, count=part.rows, bitorder="little").astype(np.bool_)


def _matrix(table: Any) -> npt.NDArray[np.float32]:
    flat = table.column("vector").combine_chunks().flatten().to_numpy(zero_copy_only=False)
    matrix: npt.NDArray[np.float32] = flat.astype(np.float32).reshape(table.num_rows, -1)
    return matrix


def _draw_recall(axes: Any, docs: AnalyticVerbs, queries: npt.NDArray[np.float32], k: int) -> None:
    """Of the k nearest by exact search, how many are found; each query is a row of the collection, nudged."""
    spread = queries.std() * 0.1
    queries = queries + np.random.default_rng(SEED).normal(0, spread, queries.shape).astype(np.float32)
    truth = [set(hits.ids.tolist()) for hits in docs.search(queries, k=k, exact=True)]
    found = [
        np.mean([len(true & set(hits.ids.tolist())) / len(true) for true, hits in zip(truth, answers, strict=True)])
        for answers in (docs.search(queries, k=k, ef_search=ef) for ef in EF_VALUES)
    ]
    axes.plot(EF_VALUES, found, marker="o")
    axes.set_xscale("log", base=2)
    axes.set_xticks(EF_VALUES, [str(ef) for ef in EF_VALUES])
    axes.set(title="Recall by beam", xlabel="ef_search", ylabel=f"recall@{k} of {len(queries)} queries")
    axes.grid(alpha=0.3)


def _draw_degrees(axes: Any, docs: AnalyticVerbs) -> None:
    counts = np.zeros(1, np.int64)
    for report in docs.graph_report():
        histogram = np.array(report.degree_histogram)
        counts = np.pad(counts, (0, max(0, len(histogram) - len(counts))))
        counts[: len(histogram)] += histogram
    axes.bar(np.arange(len(counts)), counts, width=0.9)
    axes.set(title="Neighbours on level 0", xlabel="neighbours", ylabel="nodes")
    if not counts.any():
        axes.text(0.5, 0.5, "no graph yet", transform=axes.transAxes, ha="center")


def _draw_rows(axes: Any, vectors: npt.NDArray[np.float32], values: Sequence[Any] | None, color: str | None) -> None:
    """The rows in the two directions in which they vary most."""
    centred = vectors - vectors.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    flat = centred @ directions[:2].T
    if flat.shape[1] < 2:  # one row, or one dimension
        flat = np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))
    axes.set(title=f"{len(vectors):,} rows" + (f" by {color}" if color else ""), xticks=[], yticks=[])
    if values is None:
        axes.scatter(*flat.T, s=6)
    elif all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        axes.figure.colorbar(axes.scatter(*flat.T, s=6, c=np.array(values, np.float64)), ax=axes, label=color)
    else:
        _draw_groups(axes, flat, [str(value) for value in values])


def _draw_groups(axes: Any, flat: npt.NDArray[np.float32], values: Sequence[str]) -> None:
    names, counts = np.unique(values, return_counts=True)
    common = names[np.argsort(-counts, kind="stable")][:SHOWN_VALUES].tolist()
    labels = np.array([value if value in common else "others" for value in values])
    for name in [*(["others"] if len(names) > len(common) else []), *common]:  # those below, these above
        here = labels == name
        axes.scatter(*flat[here].T, s=6, label=name, color="lightgrey" if name == "others" else None)
    axes.legend(markerscale=3, fontsize="small")
