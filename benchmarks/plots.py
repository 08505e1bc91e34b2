"""Plots: recall against rate, and rate against selectivity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot

from benchmarks.workload import CORRELATIONS, SELECTIVITIES

mpl.rcParams["svg.hashsalt"] = "nearrow"  # the same figures make the same file
mpl.rcParams["svg.fonttype"] = "none"
LOWEST_RECALL = 0.80


def plot_curves(curves: dict[str, list[dict[str, Any]]], title: str, file: Path) -> None:
    """One line per engine; recall on a logit scale, so that .99 and .999 have room; up and right is better."""
    figure, axes = pyplot.subplots(figsize=(9, 6))
    for number, (name, curve) in enumerate(curves.items()):
        points = [(min(point["recall"], 0.9998), point["qps"]) for point in curve if point["recall"] >= LOWEST_RECALL]
        if not points:
            continue
        ours = name.startswith("nearrow")
        style = {"linewidth": 2.6 if ours else 1.2, "linestyle": "-" if number < 10 else "--", "markersize": 3.5}
        axes.plot(*zip(*points, strict=True), marker="o", label=name, color=f"C{number % 10}", **style)
    axes.set_xscale("logit")
    ticks = [0.8, 0.9, 0.95, 0.99, 0.999]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_formatter(lambda *_: "")
    axes.set_yscale("log")
    axes.set(xlabel="recall@10", ylabel="queries per second, one core, one at a time", title=title)
    axes.grid(visible=True, which="both", alpha=0.25)
    axes.legend(fontsize=8)
    _save(figure, file)


def plot_filters(found: dict[str, dict[str, Any]], file: Path) -> None:
    """A column per correlation; rate above, recall below, over the share of rows that pass."""
    figure, grid = pyplot.subplots(2, len(CORRELATIONS), figsize=(13, 7), sharex=True, sharey="row")
    lowest = min(case.get("recall", 1.0) for figures in found.values() for case in figures.values())
    for column, correlation in enumerate(CORRELATIONS):
        for number, (name, figures) in enumerate(found.items()):
            asked = [(share, figures.get(f"{share:.2%} {correlation}", {})) for share in SELECTIVITIES]
            points = [(share * 100, case["qps"], case["recall"]) for share, case in asked if "qps" in case]
            if not points:
                continue
            shares, rates, recalls = zip(*points, strict=True)
            width = 2.6 if name.startswith("nearrow") else 1.2
            grid[0][column].plot(
                shares, rates, marker="o", markersize=3, label=name, color=f"C{number}", linewidth=width
            )
            grid[1][column].plot(shares, recalls, marker="o", markersize=3, color=f"C{number}", linewidth=width)
        grid[0][column].set(xscale="log", yscale="log", title=correlation)
        grid[1][column].set(xlabel="rows that pass, %", ylim=(max(0.0, lowest - 0.05), 1.01))
        for row in (0, 1):
            grid[row][column].grid(visible=True, alpha=0.25)
    grid[0][0].set_ylabel("queries per second")
    grid[1][0].set_ylabel("recall@10")
    grid[0][0].legend(fontsize=8)
    _save(figure, file)


def _save(figure: Any, file: Path) -> None:
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)
