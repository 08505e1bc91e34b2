"""Graph: what is the search structure over a set of vectors, and where do its bytes come from?

The bytes of a graph are those of its file (docs/formats/graph.md): built in memory or mapped, they are used in place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearrow import _kernel
from nearrow.errors import InvalidArgumentError
from nearrow.index.vectors import Bits, Floats, Vectors, metric_name, query_batch

Codes = Literal["auto", 4, 8] | None

EF_CONSTRUCTION = 80

Way = Literal["auto", "scan", "through", "two hops", "sketch"]
WAY_NUMBERS: dict[Way, int] = {"auto": 0, "scan": 1, "through": 2, "two hops": 3, "sketch": 5}
WAYS = ("walk", "scan", "through", "two hops", "exact", "sketch")
"""What a search reports: the plain walk; the scan of codes; the two filtered walks; the scans of vectors and sketches."""
GIVEN_UP = 8

Depth = Literal["rows", "nodes", "sketch"]
DEPTHS: dict[Depth, int] = {"rows": 0, "nodes": 1, "sketch": 2}
Selection = _kernel.Selection
"""Which rows of one graph a search may return, and what was prepared to find them quickly. Immutable."""


def _codes_number(codes: Codes) -> int:
    numbers: dict[Any, int] = {"auto": -1, None: 0, 4: 4, 8: 8}
    if codes not in numbers:
        raise InvalidArgumentError(f"codes is 'auto', 4, 8 or None, not {codes!r}")
    return numbers[codes]


def _progress(
    progress: Callable[[int, int], None] | None, cancelled: Callable[[], bool] | None
) -> Callable[[int, int], bool] | None:
    if progress is None and cancelled is None:
        return None

    def report(done: int, total: int) -> bool:
        if progress is not None:
            progress(done, total)
        return cancelled is None or not cancelled()

    return report


def crossovers() -> tuple[int, int, int, float]:
    """The planner's scan_rows, scan_beams, sketch_beams and masked_share, by which the kernel chooses here."""
    return _kernel.crossovers()


class Graph:
    """The search structure over `vectors`: built once, immutable, used straight from its file's bytes.

    Any number of threads may search one graph. Searching releases the GIL.
    """

    __slots__ = ("_kernel", "_owner", "metric", "search_one", "vectors")

    def __init__(self, kernel: _kernel.Graph, vectors: Vectors, metric: str, owner: Any = None) -> None:
        self._kernel = kernel
        self._owner = owner
        self.vectors = vectors
        self.metric = metric
        self.search_one = kernel.search_one
        """One query [d] with as little as possible around the search: (positions, distances), nearest first.

        TypeError unless it is a contiguous float32 array; InvalidArgumentError for NaN, zeros, or another dimension.
        """

    @classmethod
    def build(
        cls,
        vectors: Vectors,
        *,
        metric: str,
        m: int = 16,
        ef_construction: int = EF_CONSTRUCTION,
        ml: float | None = None,
        codes: Codes = "auto",
        threads: int | None = None,
        seed: int = 0,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Graph:
        """Builds the graph of all rows; the result is the same for any number of threads.

        `progress(done, total)` and `cancelled()` are called between batches; raises InterruptedError when cancelled,
        and KeyboardInterrupt on Ctrl-C.
        """
        name = metric_name(metric)
        report = _progress(progress, cancelled)
        number = _codes_number(codes)
        kernel = _kernel.Graph.build(
            vectors.kernel, name, m, ef_construction, ml, number, threads or 0, seed & (2**64 - 1), report
        )
        return cls(kernel, vectors, name)

    @classmethod
    def open(cls, buffer: Any, vectors: Vectors, metric: str) -> Graph:
        """Uses a graph file in place (an Arrow buffer, memory map or memoryview); reads only its header.

        Raises CorruptionError when the header is damaged or describes other vectors, IncompatibleFormatError when a
        newer Nearrow wrote it. Damage elsewhere costs recall, never a crash; check() finds it.
        """
        name = metric_name(metric)
        return cls(_kernel.Graph(buffer, vectors.kernel, name), vectors, name, buffer)

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def nbytes(self) -> int:
        return self._kernel.nbytes

    @property
    def buffer(self) -> pa.Buffer:
        """The graph file's bytes, by reference."""
        return pa.foreign_buffer(self._kernel.address(), self._kernel.nbytes, self._kernel)

    def buffers(self) -> list[pa.Buffer]:
        return [self.buffer]

    def stats(self) -> dict[str, Any]:
        return self._kernel.stats()

    def beam_for(self, target_recall: float, k: int) -> int:
        """The ef_search at which the measured curve reaches the recall asked."""
        return self._kernel.beam_for(target_recall, k)

    def select(self, accept: Bits, count: int | None = None, depth: Depth = "rows") -> Selection:
        """The rows that searches may return, as packed bits, prepared for as many searches as `depth` is worth.

        "nodes" puts them in the order of the graph's nodes, at nanoseconds a row accepted; "sketch" also keeps one bit a
        dimension of each, where that pays (not for dot, nor for most of a large graph): some 50 ns a row and 50 bytes.
        """
        return self._kernel.select(accept, count, DEPTHS[depth])

    def check(self) -> list[str]:
        """The full audit: digest, bounds, maps, reachability of every node. An empty list means sound."""
        return self._kernel.check()

    def search(
        self,
        queries: Floats,
        k: int,
        *,
        ef_search: int | None = None,
        target_recall: float = 0.95,
        selection: Selection | None = None,
        threads: int = 1,
        counters: bool = False,
        way: Way = "auto",
    ) -> Any:
        """(positions int64[b, k], distances float32[b, k], counts int32[b]); beyond a count: −1 and infinity.

        Always min(k, accepted) hits, sorted by (distance, position), distances exact. k is cut to the number of rows.
        With counters=True a fourth array int64[b, 4]: hops, code distances, exact distances, and how the candidates were
        found (WAYS; GIVEN_UP added where a walk was finished by a scan). way: how they are to be found under a filter.
        """
        array = query_batch(queries, self.vectors.dimension)
        result = self._kernel.search_many(array, k, ef_search, target_recall, selection, threads or 0, WAY_NUMBERS[way])
        return result if counters else result[:3]

    def merge(
        self,
        vectors: Vectors,
        positions: npt.NDArray[np.int32],
        *,
        codes: Codes = "auto",
        threads: int | None = None,
        seed: int | None = None,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Graph:
        """A graph over `vectors` that reuses this one: `positions[old]` is the row's new position, −1 if dropped.

        Rows of `vectors` that no old row maps to are inserted; around dropped ones the graph is repaired.
        """
        number = self.stats()["seed"] if seed is None else seed & (2**64 - 1)
        kernel = self._kernel.merge(
            vectors.kernel,
            np.ascontiguousarray(positions, np.int32),
            _codes_number(codes),
            threads or 0,
            number,
            _progress(progress, cancelled),
        )
        return Graph(kernel, vectors, self.metric)
