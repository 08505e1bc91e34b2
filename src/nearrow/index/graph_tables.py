"""Graph tables: which neighbours does each row have, as plain arrays?

Reads the sections of a graph's bytes (docs/formats/graph.md) by reference. Nothing in them is trusted: numbers that
point nowhere are left out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearrow.index.graph import Graph

M_AT, WIDTH_AT, LEVELS_AT, NODES_AT, LEVEL_NODES_AT, SECTIONS_AT = 32, 36, 44, 64, 104, 232
LISTS, LAYERS, NODES = 3, 4, 7

Lists = npt.NDArray[np.int32]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Neighbours:
    """Some nodes of one level: the row that each stands for, and the rows near it, those of node i in
    near[starts[i] : starts[i + 1]]."""

    nodes: Lists
    rows: Rows
    starts: Lists
    near: Rows


class GraphTables:
    """The neighbour lists of one graph in terms of rows: `row_of[position]` is a row's number, −1 where it is left out."""

    def __init__(self, graph: Graph, row_of: Rows) -> None:
        data = memoryview(graph.buffer)

        def number(at: int) -> int:
            return int(struct.unpack_from("<I", data, at)[0])

        def section(index: int) -> Lists:
            offset, length = struct.unpack_from("<QQ", data, SECTIONS_AT + 16 * index)
            return np.frombuffer(data, np.int32, length // 4, offset)

        self.m = number(M_AT)
        self.nodes: int = struct.unpack_from("<Q", data, NODES_AT)[0]
        self.level_nodes: tuple[int, ...] = struct.unpack_from(f"<{number(LEVELS_AT)}Q", data, LEVEL_NODES_AT)
        self._lists = section(LISTS)[: self.nodes * number(WIDTH_AT)].reshape(self.nodes, number(WIDTH_AT))
        self._layers = section(LAYERS)
        self._row_of = row_of
        self._node_of = section(NODES)[: len(row_of)]
        known = (row_of >= 0) & (self._node_of >= 0) & (self._node_of < self.nodes)
        self._positions = np.flatnonzero(known)
        self._first_row = np.full(self.nodes, -1, np.int64)  # of the rows that a node stands for, the first
        backwards = self._positions[::-1]
        self._first_row[self._node_of[backwards]] = row_of[backwards]

    def level_0(self, rows: int) -> Iterator[Neighbours]:
        """Every row with its neighbours (equal rows share a node, so they have the same), `rows` at a time."""
        for start in range(0, len(self._positions), rows):
            positions = self._positions[start : start + rows]
            nodes = self._node_of[positions]
            yield self._neighbours(nodes, self._row_of[positions], self._lists[nodes])

    def level(self, level: int) -> Neighbours:
        """The nodes of an upper level, each by its first row."""
        skipped = sum(self.level_nodes[1:level]) * self.m
        count = self.level_nodes[level]
        lists = self._layers[skipped : skipped + count * self.m].reshape(count, self.m)
        nodes = np.flatnonzero(self._first_row[:count] >= 0).astype(np.int32)
        return self._neighbours(nodes, self._first_row[nodes], lists[nodes])

    @property
    def links(self) -> Lists:
        """Level 0 as it is stored: the neighbours of each node, −1 where a list ends: int32 [nodes, width]."""
        inside = (self._lists >= 0) & (self._lists < self.nodes)
        return np.where(inside, self._lists, -1)

    def average_degree(self, sample: int = 4096) -> float:
        """Neighbours of a node of level 0, on average over so many of them: all of them would be read from disk."""
        lists = self._lists[:: max(1, self.nodes // sample)]
        return float(((lists >= 0) & (lists < self.nodes)).sum(axis=1).mean()) if len(lists) else 0.0

    def _neighbours(self, nodes: Lists, rows: Rows, lists: Lists) -> Neighbours:
        inside = (lists >= 0) & (lists < self.nodes)
        near = np.where(inside, self._first_row[np.where(inside, lists, 0)], -1)
        kept = near >= 0
        starts = np.zeros(len(nodes) + 1, np.int32)
        np.cumsum(kept.sum(axis=1), out=starts[1:])
        return Neighbours(nodes, rows, starts, near[kept])
