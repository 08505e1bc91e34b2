"""Engines: which systems are measured, and what must an adapter of one of them do?

An adapter is a small class; it is created, built or opened and searched in a process of its own (benchmarks/worker.py).
Rows are known by their number, 0 … n-1. To add an engine, write the class and name it in `INDEXES` or `DATABASES`.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

K = 10
BEAMS = (10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 384, 512, 768, 1024)


class Engine:
    """What an adapter offers. `threads` holds for building; searches use one thread unless told otherwise."""

    package: ClassVar[str]  # the name of the distribution, for its version
    beams: Sequence[Any] = BEAMS
    incremental = False  # True: `add` takes rows piece by piece, and `save`/`open` may stand in between
    parameters: ClassVar[dict[str, Any]] = {}

    def start(self, folder: Path, dimension: int, metric: str, rows: int, threads: int) -> None:
        """Begin a new index; `folder` is where it will live, for those that work on disk."""
        raise NotImplementedError

    def add(self, vectors: np.ndarray, first: int) -> None:
        """Insert rows `first` … `first + len(vectors)`; all of them at once unless `incremental`."""
        raise NotImplementedError

    def finish(self) -> None:
        """Whatever must happen after the last row so that searches are fast."""

    def save(self, folder: Path) -> None:
        raise NotImplementedError

    def open(self, folder: Path, base: np.ndarray, metric: str, threads: int = 1) -> None:
        raise NotImplementedError

    def set_beam(self, beam: Any) -> None:
        raise NotImplementedError

    def search(self, query: np.ndarray) -> Sequence[int]:
        """The K nearest rows of one query."""
        raise NotImplementedError

    def batch(self, queries: np.ndarray, threads: int) -> Sequence[Sequence[int]]:
        """The K nearest rows of every query, on `threads` threads."""
        raise NotImplementedError

    def set_where(self, where: Condition | None) -> None:
        """Databases: searches from now on return only rows for which the condition holds."""
        raise NotImplementedError

    def search_text(self, text: str) -> Sequence[int]:
        """Databases with full text: the K best rows for the words of `text`."""
        raise NotImplementedError

    def search_hybrid(self, query: np.ndarray, text: str) -> Sequence[int]:
        """Databases with full text: the K best rows for vector and words, fused by reciprocal rank."""
        raise NotImplementedError

    def counters(self, queries: np.ndarray) -> dict[str, float]:
        """Engines that count: mean hops, code_distances and exact_distances per query."""
        raise NotImplementedError

    def statistics(self) -> dict[str, Any]:
        """The engine's own figures, if it has any."""
        return {}


@dataclass(frozen=True)
class Condition:
    """The one shape of filter that every database here can say: column, operator (= < >=), value."""

    column: str
    operator: str
    value: str | int

    def sql(self) -> str:
        value = f"'{self.value}'" if isinstance(self.value, str) else str(self.value)
        return f"{self.column} {self.operator} {value}"


@dataclass(frozen=True)
class Entry:
    """Where an adapter is, and how it is set up."""

    module: str
    name: str
    options: dict[str, Any] = field(default_factory=dict)
    ours: bool = False  # runs in this interpreter's environment instead of the peers'
    slow: bool = False  # may take very long to build: has a limit of its own

    def create(self) -> Any:
        return getattr(importlib.import_module(f"benchmarks.engines.{self.module}"), self.name)(**self.options)


INDEXES: dict[str, Entry] = {
    "nearrow": Entry("nearrow_index", "Nearrow", ours=True),
    "nearrow-8bit": Entry("nearrow_index", "Nearrow", {"codes": 8}, ours=True),
    "nearrow-4bit": Entry("nearrow_index", "Nearrow", {"codes": 4}, ours=True),
    "hnswlib": Entry("hnswlib_index", "Hnswlib"),
    "faiss-hnsw": Entry("faiss_index", "Faiss"),
    "faiss-hnsw-sq8": Entry("faiss_index", "Faiss", {"kind": "sq8"}),
    "faiss-hnsw-sq8-refine": Entry("faiss_index", "Faiss", {"kind": "sq8-refine"}),
    "usearch-f32": Entry("usearch_index", "Usearch", {"dtype": "f32"}),
    "usearch-f16": Entry("usearch_index", "Usearch", {"dtype": "f16"}),
    "usearch-i8": Entry("usearch_index", "Usearch", {"dtype": "i8"}),
    "voyager": Entry("voyager_index", "Voyager"),
    "vsag-fp32": Entry("vsag_index", "Vsag", {"quantization": "fp32"}),
    "vsag-sq8": Entry("vsag_index", "Vsag", {"quantization": "sq8_uniform"}),
    "svs-vamana": Entry("svs_index", "Svs"),
    "ngt": Entry("ngt_index", "Ngt", slow=True),
}

DATABASES: dict[str, Entry] = {
    "nearrow-collection": Entry("nearrow_collection", "NearrowCollection", ours=True),
    "lancedb": Entry("lancedb_database", "Lance"),
    "zvec": Entry("zvec_database", "Zvec"),
    "zvec-int8": Entry("zvec_database", "Zvec", {"quantize": "INT8"}),
    "qdrant-edge": Entry("qdrant_database", "QdrantEdge"),
    "chromadb": Entry("chroma_database", "Chroma", slow=True),
    "milvus-lite": Entry("milvus_database", "MilvusLiteEngine"),
    "duckdb-exact": Entry("duckdb_database", "DuckDb"),
}


def entry(name: str) -> Entry:
    """The engine of this name; SystemExit names all of them if there is none."""
    known = {**INDEXES, **DATABASES}
    if name not in known:
        raise SystemExit(f"unknown engine {name!r}: one of {', '.join(known)}")
    return known[name]
