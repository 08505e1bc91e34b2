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
    def search_one(
        self, query: npt.NDArray[np.float32], k: int, ef: int | None, target: float
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]: ...
    def search_many(
        self,
        queries: npt.NDArray[np.float32],
        k: int,
        ef: int | None,
        target: float,
        accept: npt.NDArray[np.uint8] | None,
        accept_count: int | None,
        threads: int,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.int32], npt.NDArray[np.int64]]: ...
    def beam_for(self, target: float, k: int) -> int: ...
    def check(self) -> list[str]: ...
    def stats(self) -> dict[str, Any]: ...
    def address(self) -> int: ...
    @property
    def nbytes(self) -> int: ...

class IdTable:
    def __getattr__(self, name: str) -> Any: ...

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
