"""DuckDB: exact search with its array functions, what one gets without an index."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import duckdb
import numpy as np
import pyarrow as pa

from benchmarks.engines import Condition, Engine, K

FUNCTIONS = {"l2": "array_distance", "cosine": "array_cosine_distance", "dot": "array_negative_inner_product"}


class DuckDb(Engine):
    package = "duckdb"
    beams = (0,)
    parameters: ClassVar[dict[str, Any]] = {"index": "none, exact"}
    where: Condition | None = None

    def start(self, folder: Path, dimension: int, metric: str, rows: int, threads: int) -> None:
        self.connection = duckdb.connect(str(folder / "rows.duckdb"), config={"threads": threads})

    def add(self, rows: pa.Table, first: int) -> None:
        self.connection.register("incoming", rows)
        self.connection.execute("CREATE TABLE rows AS SELECT * FROM incoming")

    def save(self, folder: Path) -> None:
        self.connection.execute("CHECKPOINT")

    def open(self, folder: Path, base: np.ndarray, metric: str, threads: int = 1) -> None:
        self.connection = duckdb.connect(str(folder / "rows.duckdb"), read_only=True)
        self.distance = f"{FUNCTIONS[metric]}(vector, $query::FLOAT[{base.shape[1]}])"
        self.set_where(None)

    def set_beam(self, beam: int) -> None:
        """Nothing to set."""

    def set_where(self, where: Condition | None) -> None:
        passing = "" if where is None else f"WHERE {where.sql()}"
        self.statement = f"SELECT row FROM rows {passing} ORDER BY {self.distance} LIMIT {K}"

    def search(self, query: np.ndarray) -> list[int]:
        return [row for (row,) in self.connection.execute(self.statement, {"query": query}).fetchall()]

    def batch(self, queries: np.ndarray, threads: int) -> list[list[int]]:
        return [self.search(query) for query in queries]
