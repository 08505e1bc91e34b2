"""The native kernel's surface; nearrow.index wraps it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

def simd() -> str: ...
def force_simd(name: str, /) -> bool: ...

class Vectors:
    def __init__(self, chunks: Sequence[tuple[int, int]], dimension: int, half: bool) -> None: ...
    @property
    def rows(self) -> int: ...
    @property
    def dimension(self) -> int: ...

def crossovers() -> tuple[int, int, int, float]: ...

class Selection:
    @property
    def has_sketch(self) -> bool: ...
    @property
    def nbytes(self) -> int: ...

class Graph:
    def __init__(self, buffer: Any, vectors: Vectors, metric: str) -> None: ...
    @staticmethod
    def build(
        vectors: Vectors,
        metric: str,
        m: int,
        ef_construction: int,
        ml: float | None,
        codes: int,
        threads: int,
        seed: int,
        progress: Callable[[int, int], bool] | None,
    ) -> Graph: ...
    def merge(
        self,
        vectors: Vectors,
        positions: npt.NDArray[np.int32],
        codes: int,
        threads: int,
        seed: int,
        progress: Callable[[int, int], bool] | None,
    ) -> Graph: ...
    def search_one(
        self,
        query: npt.NDArray[np.float32],
        k: int,
        ef: int | None,
        target: float,
        selection: Selection | None = None,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]: ...
    def search_many(
        self,
        queries: npt.NDArray[np.float32],
        k: int,
        ef: int | None,
        target: float,
        selection: Selection | None,
        threads: int,
        way: int = 0,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.int32], npt.NDArray[np.int64]]: ...
    def select(self, accept: npt.NDArray[np.uint8], count: int | None, depth: int) -> Selection: ...
    def beam_for(self, target: float, k: int) -> int: ...
    def check(self) -> list[str]: ...
    def stats(self) -> dict[str, Any]: ...
    def address(self) -> int: ...
    @property
    def nbytes(self) -> int: ...

class StringSet:
    def __len__(self) -> int: ...
    def match(self, offsets: Any, data: Any, offset: int, length: int, wide: bool) -> npt.NDArray[np.uint8]: ...

class StringPattern:
    def match(self, offsets: Any, data: Any, offset: int, length: int, wide: bool) -> npt.NDArray[np.uint8]: ...

def string_pattern(text: bytes, place: int) -> StringPattern: ...
def match_lists(
    offsets: Any,
    offset: int,
    length: int,
    wide: bool,
    marks: npt.NDArray[np.uint8],
    first: int,
    elements: int,
    every: bool,
) -> npt.NDArray[np.uint8]: ...
def tally(
    numbers: npt.NDArray[np.int32],
    starts: npt.NDArray[np.int32] | None,
    wanted: npt.NDArray[np.uint8] | None,
    rows: int,
    distinct: int,
) -> npt.NDArray[np.int64]: ...
def string_set(offsets: Any, data: Any, offset: int, length: int) -> StringSet: ...

class IdColumn:
    def __init__(self, strings: bool, wide_offsets: bool, chunks: Sequence[tuple[Any, Any, Any, int, int]]) -> None: ...
    def __len__(self) -> int: ...
    def gather_strings(self, positions: npt.NDArray[np.int64]) -> list[str]: ...
    def gather_int64(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]: ...

class IdTable:
    def __init__(self, buffer: Any, ids: IdColumn) -> None: ...
    def find_all(self, needles: IdColumn) -> npt.NDArray[np.int64]: ...
    def find_string(self, id: str) -> int: ...
    def find_int64(self, id: int) -> int: ...
    def misplaced(self) -> tuple[int, int]: ...

def id_table_build(ids: IdColumn, seed: int = 0) -> bytes | tuple[int, int | None]: ...
def id_hash(id: bytes, seed: int = 0) -> int: ...
def flat_search(
    vectors: Vectors,
    metric: str,
    queries: npt.NDArray[np.float32],
    k: int,
    accept: npt.NDArray[np.uint8] | None = None,
    threads: int = 1,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.int32]]: ...
def flat_range(
    vectors: Vectors,
    metric: str,
    query: npt.NDArray[np.float32],
    radius: float,
    accept: npt.NDArray[np.uint8] | None = None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]: ...
def exact_distances(
    vectors: Vectors, metric: str, query: npt.NDArray[np.float32], positions: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]: ...
