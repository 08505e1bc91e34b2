"""HNSW: which rows are nearest to a query, over vectors that stay where they are?

The only module that talks to the native kernel. `Vectors` names the rows (NumPy or Arrow memory, by reference), `Graph`
is the search structure that segments store, `HnswIndex` is the two together for those who want only an index.
Distances: "l2" is the squared Euclidean distance, "cosine" is 1 − cosine, "dot" is −dot product; smaller is nearer.
"""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearrow import _kernel
from nearrow.errors import CorruptionError, DimensionMismatchError, InvalidArgumentError

Codes = Literal["auto", 4, 8] | None
Floats = npt.NDArray[np.float32]
Positions = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int32]
Bits = npt.NDArray[np.uint8]

EF_CONSTRUCTION = 80
_METRICS = {"l2": "l2", "euclidean": "l2", "cosine": "cosine", "dot": "dot", "ip": "dot"}
_DIMENSION_MAX = 32_000
_TRAILER = struct.Struct("<8sQQI")  # magic, rows, removed rows, CRC-32 of the bitmap
_TRAILER_MAGIC = b"NRRWLIVE"


def metric_name(metric: str) -> str:
    """The metric's own name; "euclidean" and "ip" are aliases. Raises InvalidArgumentError."""
    try:
        return _METRICS[metric]
    except (KeyError, TypeError):
        raise InvalidArgumentError(f"unknown metric {metric!r}: use 'l2', 'cosine' or 'dot'") from None


class Vectors:
    """Rows of one dimension, held by reference, in chunks of any sizes.

    `source` is a C-contiguous float32 or float16 array [n, d], an Arrow FixedSizeList array or chunked array of
    those, or a sequence of such. Nothing is copied; the memory is kept alive.
    """

    __slots__ = ("_address_ranges", "_keep", "dimension", "dtype", "kernel", "nbytes")

    def __init__(self, source: Any, *, dimension: int | None = None) -> None:
        pieces = list(_pieces(source))
        found = {piece[2] for piece in pieces} | ({dimension} if dimension is not None else set())
        types = {piece[3] for piece in pieces}
        if len(found) > 1:
            raise DimensionMismatchError(f"vectors of different dimensions together: {sorted(found)}")
        if len(types) > 1:
            raise InvalidArgumentError("float32 and float16 vectors together; convert one of them")
        if not found:
            raise InvalidArgumentError("no vectors and no dimension; give an array of shape [0, d] or dimension=")
        self.dimension: int = found.pop()
        if not 1 <= self.dimension <= _DIMENSION_MAX:
            raise InvalidArgumentError(f"a vector has 1 to {_DIMENSION_MAX:,} dimensions, not {self.dimension}")
        self.dtype: np.dtype[Any] = types.pop() if types else np.dtype(np.float32)
        self._keep = [piece[4] for piece in pieces]
        self._address_ranges = [(piece[0], piece[1]) for piece in pieces]
        self.kernel = _kernel.Vectors(self._address_ranges, self.dimension, self.dtype == np.float16)
        self.nbytes: int = len(self) * self.dimension * self.dtype.itemsize

    def __len__(self) -> int:
        return self.kernel.rows

    @classmethod
    def concatenate(cls, parts: Sequence[Vectors]) -> Vectors:
        """One view of several, in order, still by reference."""
        return cls([piece for part in parts for piece in part._keep] or [], dimension=parts[0].dimension)


def _pieces(source: Any) -> Any:
    """(address, rows, dimension, dtype, owner) for every chunk of the source."""
    if isinstance(source, Vectors):
        source = source._keep
    if isinstance(source, np.ndarray):
        if source.ndim != 2:
            raise InvalidArgumentError(f"vectors are an array of shape [n, d], not {source.ndim}-dimensional")
        if source.dtype not in (np.float32, np.float16):
            raise InvalidArgumentError(f"vectors are float32 or float16, not {source.dtype}; convert with .astype(np.float32)")
        if not source.flags.c_contiguous:
            raise InvalidArgumentError("the array is not C-contiguous; pass np.ascontiguousarray(vectors)")
        yield source.ctypes.data, len(source), source.shape[1], source.dtype, source
    elif isinstance(source, pa.ChunkedArray):
        if source.num_chunks == 0:
            yield from _pieces(pa.array([], source.type))
        for chunk in source.chunks:
            yield from _pieces(chunk)
    elif isinstance(source, pa.Array):
        if isinstance(source, pa.ExtensionArray):
            source = source.storage
        if not pa.types.is_fixed_size_list(source.type):
            raise InvalidArgumentError(f"vectors are a FixedSizeList of float32 or float16, not {source.type}")
        width = source.type.list_size
        names = {pa.float32(): np.dtype(np.float32), pa.float16(): np.dtype(np.float16)}
        dtype = names.get(source.type.value_type)
        if dtype is None:
            raise InvalidArgumentError(f"vectors are float32 or float16, not {source.type.value_type}")
        if source.null_count or source.flatten().null_count:
            raise InvalidArgumentError("vectors hold nulls; drop those rows first")
        values = source.values
        data = values.buffers()[1]
        start = (values.offset + source.offset * width) * dtype.itemsize
        if len(source) and (data is None or start + len(source) * width * dtype.itemsize > data.size):
            raise InvalidArgumentError("the Arrow array is malformed: its values are shorter than it says")
        yield (data.address + start if data is not None else 0), len(source), width, dtype, source
    elif isinstance(source, (list, tuple)):
        for part in source:
            yield from _pieces(part)
    else:
        raise InvalidArgumentError(f"vectors are a NumPy array or an Arrow FixedSizeList, not {type(source).__name__}")


def _queries(queries: Any, dimension: int) -> Floats:
    array = np.ascontiguousarray(queries, dtype=np.float32)
    if array.ndim != 2:
        raise InvalidArgumentError(f"queries are an array of shape [b, {dimension}], not {array.ndim}-dimensional")
    return array


def _query(query: Any, dimension: int) -> Floats:
    array = np.ascontiguousarray(query, dtype=np.float32)
    if array.ndim != 1:
        raise InvalidArgumentError(f"a query is an array of shape [{dimension}], not {array.ndim}-dimensional")
    return array


def accept_bits(accept: Any, rows: int) -> Bits | None:
    """Packed bits (least significant first) from packed uint8, an Arrow boolean array, or a NumPy bool array."""
    if accept is None:
        return None
    if isinstance(accept, pa.ChunkedArray):
        accept = accept.combine_chunks()
    if isinstance(accept, pa.BooleanArray):
        if len(accept) != rows:
            raise InvalidArgumentError(f"accept has {len(accept)} values for {rows} rows")
        accept = np.asarray(accept.fill_null(False).to_numpy(zero_copy_only=False), dtype=bool)
    array = np.asarray(accept)
    if array.dtype == np.bool_:
        if array.shape != (rows,):
            raise InvalidArgumentError(f"accept has shape {array.shape} for {rows} rows")
        return np.packbits(array, bitorder="little")
    if array.dtype != np.uint8 or array.ndim != 1:
        raise InvalidArgumentError("accept is packed uint8 bits, or an Arrow or NumPy array of booleans")
    return np.ascontiguousarray(array)


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


class Graph:
    """The search structure over `vectors`: built once, immutable, used straight from its file's bytes.

    Any number of threads may search one graph. Searching releases the GIL.
    """

    __slots__ = ("_kernel", "_owner", "metric", "vectors")

    def __init__(self, kernel: _kernel.Graph, vectors: Vectors, metric: str, owner: Any = None) -> None:
        self._kernel = kernel
        self._owner = owner
        self.vectors = vectors
        self.metric = metric

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
        accept: Bits | None = None,
        accept_count: int | None = None,
        threads: int = 1,
        counters: bool = False,
    ) -> Any:
        """(positions int64[b, k], distances float32[b, k], counts int32[b]); beyond a count: −1 and infinity.

        Always min(k, accepted) hits, sorted by (distance, position), distances exact. k is cut to the number of rows.
        With counters=True a fourth array int64[b, 3]: hops, code distances, exact distances.
        """
        array = _queries(queries, self.vectors.dimension)
        result = self._kernel.search_many(array, k, ef_search, target_recall, accept, accept_count, threads or 0)
        return result if counters else result[:3]

    def search_one(
        self, query: Floats, k: int, ef_search: int | None = None, target_recall: float = 0.95
    ) -> tuple[Positions, Floats]:
        """One unfiltered query with as little as possible around the walk: (positions, distances)."""
        return self._kernel.search_one(query, k, ef_search, target_recall)

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


def flat_search(
    vectors: Vectors, metric: str, queries: Floats, k: int, *, accept: Bits | None = None, threads: int = 1
) -> tuple[Positions, Floats, Counts]:
    """Exact search by looking at every accepted row; the result has the shape of Graph.search."""
    array = _queries(queries, vectors.dimension)
    return _kernel.flat_search(vectors.kernel, metric_name(metric), array, k, accept, threads or 0)


def flat_range(
    vectors: Vectors, metric: str, query: Floats, radius: float, *, accept: Bits | None = None
) -> tuple[Positions, Floats]:
    """Every accepted row with distance <= radius, sorted by (distance, position)."""
    return _kernel.flat_range(vectors.kernel, metric_name(metric), _query(query, vectors.dimension), radius, accept)


def exact_distances(vectors: Vectors, metric: str, query: Floats, positions: Positions) -> Floats:
    """The exact distance to each of the positions."""
    return _kernel.exact_distances(
        vectors.kernel, metric_name(metric), _query(query, vectors.dimension), np.ascontiguousarray(positions, np.int64)
    )


class HnswIndex:
    """Vectors and their graph: build, search, add, remove, save, open. Ids are row positions in order of insertion."""

    __slots__ = ("_alive", "_fast", "_removed", "graph", "metric")

    def __init__(self, graph: Graph, alive: Bits | None = None, removed: int = 0) -> None:
        self.metric = graph.metric
        self._use(graph, alive, removed)

    def _use(self, graph: Graph, alive: Bits | None, removed: int) -> None:
        self.graph = graph
        self._alive = alive
        self._removed = removed
        self._fast = graph._kernel.search_one

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
        only when fewer than k rows are accepted. Without `ef_search` the beam is chosen from the recall curve that was
        measured when the graph was built. `accept`: Arrow or NumPy booleans, or packed bits, one per row.
        """
        if accept is None and self._alive is None:
            try:
                return self._fast(queries, k, ef_search, target_recall)
            except TypeError:
                pass  # not a contiguous float32 [d] array: the general way below converts it
        array = np.ascontiguousarray(queries, dtype=np.float32)
        rows = len(self.graph)
        bits = accept_bits(accept, rows)
        if self._alive is not None:
            size = (rows + 7) // 8
            bits = self._alive if bits is None else bits[:size] & self._alive
        if array.ndim == 1:
            result = self.graph.search(
                array[None], k, ef_search=ef_search, target_recall=target_recall, accept=bits, threads=1
            )
            count = int(result[2][0])
            return result[0][0, :count], result[1][0, :count]
        positions, distances, _ = self.graph.search(
            array, k, ef_search=ef_search, target_recall=target_recall, accept=bits, threads=threads
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
