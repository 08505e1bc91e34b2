"""HNSW: which rows are nearest to a query, over vectors that stay where they are?

`Vectors` names the rows (NumPy or Arrow memory, by reference), `Graph` is the search structure that segments store,
`HnswIndex` is the two together for those who want only an index.
Distances: "l2" is the squared Euclidean distance, "cosine" is 1 − cosine, "dot" is −dot product; smaller is nearer.
"""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from nearrow.errors import CorruptionError, DimensionMismatchError
from nearrow.index.flat import Positions, exact_distances, flat_range, flat_search
from nearrow.index.graph import EF_CONSTRUCTION, Codes, Graph
from nearrow.index.vectors import Bits, Floats, Vectors, accept_bits, metric_name

_TRAILER = struct.Struct("<8sQQI")  # magic, rows, removed rows, CRC-32 of the bitmap
_TRAILER_MAGIC = b"NRRWLIVE"


class HnswIndex:
    """Vectors and their graph: build, search, add, remove, save, open. Ids are row positions in order of insertion."""

    __slots__ = ("_alive", "_removed", "_search_one", "graph", "metric")

    def __init__(self, graph: Graph, alive: Bits | None = None, removed: int = 0) -> None:
        self.metric = graph.metric
        self._use(graph, alive, removed)

    def _use(self, graph: Graph, alive: Bits | None, removed: int) -> None:
        self.graph = graph
        self._search_one = graph.search_one
        self._alive = alive
        self._removed = removed

    @classmethod
    def build(
        cls,
        vectors: Any,
        metric: str = "cosine",
        *,
        m: int = 16,
        ef_construction: int = EF_CONSTRUCTION,
        ml: float | None = None,
        codes: Codes = "auto",
        threads: int | None = None,
        seed: int = 0,
        progress: bool | Callable[[int, int], None] = False,
    ) -> HnswIndex:
        """Builds an index over float32 or float16 vectors, held by reference.

        `threads=None` uses every core; the graph does not depend on it. `codes`: what the walk reads, 4- or 8-bit
        codes, the vectors themselves (None), or whichever measures better ("auto"). `progress=True` shows a bar.
        """
        rows = vectors if isinstance(vectors, Vectors) else Vectors(vectors)
        report = _Bar() if progress is True else progress if callable(progress) else None
        graph = Graph.build(
            rows,
            metric=metric,
            m=m,
            ef_construction=ef_construction,
            ml=ml,
            codes=codes,
            threads=threads,
            seed=seed,
            progress=report,
        )
        return cls(graph)

    def search(
        self,
        queries: Any,
        k: int = 10,
        ef_search: int | None = None,
        accept: Any = None,
        threads: int = 1,
        *,
        target_recall: float = 0.95,
    ) -> tuple[Positions, Floats]:
        """(ids, distances) of the k nearest rows, nearest first; exact distances.

        A [d] query gives 1-D arrays of min(k, rows) hits; [b, d] queries give 2-D arrays, padded with −1 and infinity
        only when fewer than k rows are accepted. `ef_search`, the beam, is how many of the nearest nodes are expanded;
        it may be less than k. Without it the beam is chosen from the recall curve that was measured in the build.
        `accept`: Arrow or NumPy booleans, or packed bits, one per row.
        """
        if accept is None and self._alive is None:
            try:
                return self._search_one(queries, k, ef_search, target_recall)
            except TypeError:  # not a contiguous float32 [d] array
                queries = np.asarray(queries, dtype=np.float32)
        array = np.require(queries, np.float32, ("C", "A"))
        rows = len(self.graph)
        bits = accept_bits(accept, rows)
        if self._alive is not None:
            size = (rows + 7) // 8
            bits = self._alive if bits is None else bits[:size] & self._alive
        selection = None if bits is None else self.graph.select(bits)
        if array.ndim == 1:
            return self.graph.search_one(array, k, ef_search, target_recall, selection)
        positions, distances, _ = self.graph.search(
            array, k, ef_search=ef_search, target_recall=target_recall, selection=selection, threads=threads
        )
        return positions, distances

    def add(self, vectors: Any, *, threads: int | None = None) -> Positions:
        """Inserts more vectors and returns their ids. Not while other threads search this index."""
        more = vectors if isinstance(vectors, Vectors) else Vectors(vectors)
        if more.dimension != self.dimension:
            raise DimensionMismatchError(f"the index has {self.dimension} dimensions, the new vectors {more.dimension}")
        before = len(self.graph)
        rows = Vectors.concatenate([self.graph.vectors, more])
        graph = self.graph.merge(rows, np.arange(before, dtype=np.int32), threads=threads)
        alive = self._alive
        if alive is not None:
            flags = np.ones(len(rows), dtype=bool)
            flags[:before] = np.unpackbits(alive, count=before, bitorder="little")
            alive = np.packbits(flags, bitorder="little")
        self._use(graph, alive, self._removed)
        return np.arange(before, len(rows), dtype=np.int64)

    def remove(self, ids: Any) -> int:
        """Hides rows from every later search; returns how many were there. Other ids keep their meaning."""
        rows = len(self.graph)
        wanted = np.unique(np.asarray(ids, dtype=np.int64).ravel())
        wanted = wanted[(wanted >= 0) & (wanted < rows)]
        flags = np.ones(rows, dtype=bool)
        if self._alive is not None:
            flags = np.unpackbits(self._alive, count=rows, bitorder="little").astype(bool)
        gone = int(flags[wanted].sum())
        if gone:
            flags[wanted] = False
            self._alive = np.packbits(flags, bitorder="little")
            self._removed += gone
        return gone

    def save(self, path: str | Path) -> None:
        """Writes the graph (not the vectors) to one file."""
        alive = b"" if self._alive is None else self._alive.tobytes()
        with open(path, "wb") as file:
            file.write(self.graph.buffer)
            file.write(_TRAILER.pack(_TRAILER_MAGIC, len(self.graph), self._removed, zlib.crc32(alive)))
            file.write(alive)

    @classmethod
    def open(cls, path: str | Path, vectors: Any, metric: str | None = None) -> HnswIndex:
        """Maps a saved index over the same vectors; parses nothing. Raises CorruptionError on damage."""
        rows = vectors if isinstance(vectors, Vectors) else Vectors(vectors)
        with pa.memory_map(str(path), "r") as file:
            buffer = file.read_buffer()
        if metric is None:
            metric = _metric_of(buffer, str(path))
        graph = Graph.open(buffer, rows, metric)
        end = graph.nbytes
        tail = buffer.slice(end).to_pybytes()
        if len(tail) < _TRAILER.size:
            raise CorruptionError(f"{path}: truncated at byte {buffer.size}; save the index again")
        magic, count, removed, crc = _TRAILER.unpack_from(tail)
        bits = tail[_TRAILER.size :]
        sized = len(bits) == ((count + 7) // 8 if removed else 0)
        if magic != _TRAILER_MAGIC or count != len(rows) or not sized or zlib.crc32(bits) != crc:
            raise CorruptionError(f"{path}: damaged after byte {end}; save the index again")
        return cls(graph, np.frombuffer(bits, np.uint8) if removed else None, removed)

    def __len__(self) -> int:
        return len(self.graph) - self._removed

    @property
    def dimension(self) -> int:
        return self.graph.vectors.dimension

    @property
    def nbytes(self) -> int:
        """Bytes besides the vectors."""
        return self.graph.nbytes + (0 if self._alive is None else self._alive.nbytes)

    def stats(self) -> dict[str, Any]:
        return {**self.graph.stats(), "metric": self.metric, "removed": self._removed}

    def check(self) -> list[str]:
        return self.graph.check()


def _metric_of(buffer: pa.Buffer, path: str) -> str:
    """The metric that a graph file's header names (byte 20 of docs/formats/graph.md)."""
    if buffer.size < 24:
        raise CorruptionError(f"{path}: too short for a graph file; save the index again")
    number = struct.unpack_from("<I", buffer, 20)[0]
    names = ("l2", "cosine", "dot")
    if number >= len(names):
        raise CorruptionError(f"{path}: unknown metric {number} at byte 20; save the index again")
    return names[number]


class _Bar:
    """A progress bar on standard error, drawn only while there is something to wait for."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self._progress = Progress(console=Console(file=sys.stderr), transient=True)
        self._task: Any = None

    def __call__(self, done: int, total: int) -> None:
        if self._task is None:
            self._progress.start()
            self._task = self._progress.add_task("building the graph", total=total)
        self._progress.update(self._task, completed=done)
        if done >= total:
            self._progress.stop()


__all__ = [
    "EF_CONSTRUCTION",
    "Codes",
    "Graph",
    "HnswIndex",
    "Vectors",
    "accept_bits",
    "exact_distances",
    "flat_range",
    "flat_search",
    "metric_name",
]
