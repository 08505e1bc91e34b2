"""Nearrow's collection: rows with text and metadata in a directory, through the public API only."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

import nearrow
from benchmarks.engines import Condition, Engine, K

OPERATORS = {"=": "$eq", "<": "$lt", ">=": "$gte"}
NO_COLUMNS: list[str] = []  # ids and distances only, as the others are asked


class NearrowCollection(Engine):
    package = "nearrow"
    beams = (6, 8, 10, 16, 20, 24, 32, 40, 48, 64, 96, 128, 192, 256, 384, 512)
    parameters: ClassVar[dict[str, Any]] = {"m": 16, "durability": "full", "text_fields": ["text"]}
    where: dict[str, Any] | None = None

    def start(self, folder: Path, dimension: int, metric: str, rows: int, threads: int) -> None:
        self.database = nearrow.connect(str(folder))
        self.rows = self.database.create_collection("rows", dimension=dimension, metric=metric, text_fields=["text"])

    def add(self, rows: pa.Table, first: int) -> None:
        self.rows.add(rows.rename_columns(["id", *rows.column_names[1:]]))

    def finish(self) -> None:
        self.rows.flush()
        self.rows.compact()
        self.rows.wait()

    def save(self, folder: Path) -> None:
        self.database.close()

    def open(self, folder: Path, base: np.ndarray, metric: str, threads: int = 1) -> None:
        self.database = nearrow.connect(str(folder), read_only=True)
        self.rows = self.database.collection("rows")

    def set_beam(self, beam: int) -> None:
        self.beam = beam

    def set_where(self, where: Condition | None) -> None:
        self.where = None if where is None else {where.column: {OPERATORS[where.operator]: where.value}}

    def search(self, query: np.ndarray) -> np.ndarray:
        return self.rows.search(query, k=K, where=self.where, ef_search=self.beam, columns=NO_COLUMNS).ids

    def batch(self, queries: np.ndarray, threads: int) -> list[np.ndarray]:
        answers = self.rows.search(queries, k=K, where=self.where, ef_search=self.beam, columns=NO_COLUMNS)
        return [hits.ids for hits in answers]

    def search_text(self, text: str) -> np.ndarray:
        return self.rows.search(text=_words(text), k=K, columns=NO_COLUMNS).ids

    def search_hybrid(self, query: np.ndarray, text: str) -> np.ndarray:
        return self.rows.search(query, text=_words(text), k=K, ef_search=self.beam, columns=NO_COLUMNS).ids

    def statistics(self) -> dict[str, Any]:
        return self.rows.stats().to_dict() if hasattr(self, "rows") else {}


def _words(text: str) -> str:
    return "".join(letter if letter.isalnum() else " " for letter in text)
