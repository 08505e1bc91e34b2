"""What the tests of analytics begin with: a library on disk, and a collection with a graph, texts and metadata."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import nearrow


@pytest.fixture
def db(tmp_path: Path) -> Iterator[nearrow.Database]:
    with nearrow.connect(tmp_path / "library") as database:
        yield database


@pytest.fixture
def docs(db: nearrow.Database) -> nearrow.Collection:
    vectors = np.random.default_rng(0).standard_normal((400, 8)).astype(np.float32)
    collection = db.create_collection("docs", 8, text_fields=["text"], graph_rows_min=100)
    collection.add(
        ids=[f"row {n}" for n in range(400)],
        vectors=vectors,
        texts=[f"text {n}" for n in range(400)],
        metadata=[{"n": n} for n in range(400)],
    )
    return collection
