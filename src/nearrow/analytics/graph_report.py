"""Graph report: is a graph connected, are its levels in balance, and how many neighbours do its nodes have?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nearrow.index.graph_tables import GraphTables
from nearrow.index.hnsw import Graph

Nodes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class GraphReport:
    """One graph. Nodes stand for rows; rows with equal vectors share one."""

    rows: int
    nodes: int
    level_nodes: tuple[int, ...]
    """Nodes that reach up to each level at least, from level 0."""
    level_balance: tuple[float, ...]
    """Of each level above 0: its nodes by those that the theory expects, nodes · e^(−level / ml); 1 is as expected."""
    degree_histogram: tuple[int, ...]
    """How many nodes have 0, 1, 2, … neighbours on level 0."""
    degree_mean: float
    reachable: int
    """Nodes that a walk along the links of level 0 can reach from the entry point."""
    components: int
    """Parts that no link joins, whichever way it points."""

    @property
    def connected(self) -> bool:
        """Whether every node can be reached from the entry point."""
        return self.reachable == self.nodes

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "connected": self.connected}


def report_of(graph: Graph) -> GraphReport:
    """Reads every link of the graph."""
    tables, stats = GraphTables(graph, np.empty(0, np.int64)), graph.stats()
    links, nodes = tables.links, tables.nodes
    degrees = (links >= 0).sum(axis=1)
    expected = [nodes * np.exp(-level / stats["ml"]) for level in range(1, len(tables.level_nodes))]
    return GraphReport(
        rows=len(graph),
        nodes=nodes,
        level_nodes=tables.level_nodes,
        level_balance=tuple(float(found / e) for found, e in zip(tables.level_nodes[1:], expected, strict=True)),
        degree_histogram=tuple(np.bincount(degrees, minlength=links.shape[1] + 1).tolist()),
        degree_mean=float(degrees.mean()) if nodes else 0.0,
        reachable=int(_reached(links, np.zeros(min(nodes, 1), np.int64)).sum()),
        components=_components(links),
    )


def _reached(links: npt.NDArray[np.int32], start: Nodes) -> npt.NDArray[np.bool_]:
    """Which nodes can be reached from `start`; the entry point is node 0."""
    seen = np.zeros(len(links), np.bool_)
    seen[start] = True
    while len(start):
        near = np.unique(links[start])
        near = near[near >= 0]
        start = near[~seen[near]].astype(np.int64)
        seen[start] = True
    return seen


def _components(links: npt.NDArray[np.int32]) -> int:
    """Each node takes the smallest number among its own and its neighbours', and that one's, until nothing changes."""
    nodes = len(links)
    label = np.arange(nodes)
    source, slot = np.nonzero(links >= 0)
    target = links[source, slot]
    while True:
        before = label.copy()
        np.minimum.at(label, source, before[target])
        np.minimum.at(label, target, before[source])
        label = label[label]
        if np.array_equal(label, before):
            return len(np.unique(label))
