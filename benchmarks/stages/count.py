"""Count: how far is our own walk from the floor that memory sets?

For the beams with recall@10 0.90, 0.95 and 0.99: hops, code distances and exact distances per query, what reading their
rows at random costs at least on this machine (benchmarks/random_read.py), and the share of the measured time that this is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks import results
from benchmarks.data import load
from benchmarks.measure import pin
from benchmarks.random_read import nanoseconds_per_row
from benchmarks.session import EngineError
from benchmarks.stages import Plan, opened, say, today

RECALLS = (0.90, 0.95, 0.99)


def count(plan: Plan, dataset: str, engines: Sequence[str]) -> None:
    ours = [name for name in engines if name.startswith("nearrow") and name != "nearrow-collection"]
    wanted = [name for name in ours if plan.again or "counted" not in results.read(dataset, name, plan.results)]
    with opened(plan, dataset, wanted) as sessions:
        for name, session in sessions.items():
            known = results.read(dataset, name, plan.results)
            try:
                session.ask("open", timeout=plan.timeout, cores=[plan.core], beam=10)
                statistics = session.ask("statistics", timeout=60)
                floor = row_costs(dataset, statistics, plan.core)
                points = []
                for beam in _beams(known.get("curve", [])):
                    counted = session.ask("count", timeout=60, beam=beam["beam"])
                    points.append(beam | counted | _share(counted, floor, 1e9 / beam["qps"]))
            except EngineError as failure:
                say(f"{name}: {failure}")
                continue
            results.update(
                dataset, name, {"counted": {"row_ns": floor, "points": points, "date": today()}}, plan.results
            )
            for point in points:
                say(name, point)


def _beams(curve: list[dict[str, Any]]) -> list[dict[str, Any]]:
    chosen = []
    for recall in RECALLS:
        reaching = [point for point in curve if point["recall"] >= recall]
        if reaching:
            best = max(reaching, key=lambda point: point["qps"])
            chosen.append({"asked": recall, "beam": best["beam"], "recall": best["recall"], "qps": best["qps"]})
    return chosen


def row_costs(dataset: str, statistics: dict[str, Any], core: int) -> dict[str, float]:
    """Nanoseconds for one random neighbour list, one code row and one vector, each out of a table of its real size."""
    pin([core])
    base = load(dataset).base
    nodes = statistics["nodes"]
    adjacency = statistics["width"] * 4
    codes = max(64, statistics["walk_bytes_per_node"] - adjacency)
    vector = base.shape[1] * base.itemsize
    return {
        "adjacency_bytes": adjacency,
        "code_bytes": codes,
        "vector_bytes": vector,
        "adjacency": nanoseconds_per_row(nodes, adjacency),
        "code": nanoseconds_per_row(nodes, codes),
        "vector": nanoseconds_per_row(len(base), vector),
    }


def _share(counted: dict[str, float], floor: dict[str, float], measured_ns: float) -> dict[str, float]:
    memory_ns = (
        counted["hops"] * floor["adjacency"]
        + counted["code_distances"] * floor["code"]
        + counted["exact_distances"] * floor["vector"]
    )
    return {"memory_us": memory_ns / 1e3, "measured_us": measured_ns / 1e3, "share": memory_ns / measured_ns}
