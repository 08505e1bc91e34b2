"""LanceDB: one IVF partition with HNSW over 8-bit codes, exact re-rank, bitmap and B-tree scalar indexes, full text."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

os.environ.setdefault("LANCE_LOG", "error")  # else a warning per query

import lancedb
import numpy as np
import pyarrow as pa

from benchmarks.engines import Condition, Engine, K


class Lance(Engine):
    package = "lancedb"
    beams = (20, 35, 50, 70, 100, 140, 200, 400)
    parameters: ClassVar[dict[str, Any]] = {
        "index": "IVF_HNSW_SQ",
        "partitions": 1,
        "m": 20,
        "ef_construction": 300,
        "refine": 2,
    }
    where: str | None = None

    def start(self, folder: Path, dimension: int, metric: str, rows: int, threads: int) -> None:
        self.path, self.metric = str(folder), metric

    def add(self, rows: pa.Table, first: int) -> None:
        self.table = lancedb.connect(self.path).create_table("rows", rows)

    def finish(self) -> None:
        self.table.create_index(
            metric=self.metric,
            vector_column_name="vector",
            index_type="IVF_HNSW_SQ",
            num_partitions=1,
            m=20,
            ef_construction=300,
        )
        for column in ("pos", "lexname"):
            self.table.create_scalar_index(column, index_type="BITMAP")
        for column in ("n_words", "random_rank", "anchor_rank"):
            self.table.create_scalar_index(column)
        self.table.create_fts_index("text")

    def save(self, folder: Path) -> None:
        """It is on disk already."""

    def open(self, folder: Path, base: np.ndarray, metric: str, threads: int = 1) -> None:
        self.table = lancedb.connect(str(folder)).open_table("rows")

    def set_beam(self, beam: int) -> None:
        self.beam = beam

    def set_where(self, where: Condition | None) -> None:
        self.where = None if where is None else where.sql()

    def search(self, query: np.ndarray) -> np.ndarray:
        asked = self.table.search(query, vector_column_name="vector").nprobes(1).ef(self.beam).refine_factor(2)
        if self.where is not None:
            asked = asked.where(self.where, prefilter=True)
        return asked.select(["row", "_distance"]).limit(K).to_arrow()["row"].to_numpy()

    def batch(self, queries: np.ndarray, threads: int) -> list[np.ndarray]:
        return [self.search(query) for query in queries]

    def search_text(self, text: str) -> np.ndarray:
        asked = self.table.search(_words(text), query_type="fts")
        return asked.select(["row", "_score"]).limit(K).to_arrow()["row"].to_numpy()

    def search_hybrid(self, query: np.ndarray, text: str) -> np.ndarray:
        asked = self.table.search(query_type="hybrid", vector_column_name="vector").vector(query).text(_words(text))
        return asked.nprobes(1).ef(self.beam).refine_factor(2).select(["row"]).limit(K).to_arrow()["row"].to_numpy()


def _words(text: str) -> str:
    return "".join(letter if letter.isalnum() else " " for letter in text)
