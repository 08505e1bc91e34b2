"""Export: are the rows in the file those of the collection, whole or not there?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import nearrow
from nearrow.analytics.exchange import export
from nearrow.errors import AlreadyExistsError, FilterError, InvalidArgumentError

VECTORS = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)
MOMENT = datetime(2024, 2, 29, 12, tzinfo=UTC)


@pytest.fixture
def docs(tmp_path: Path) -> Iterator[nearrow.Collection]:
    with nearrow.connect(tmp_path / "library") as db:
        collection = db.create_collection("docs", 4)
        metadata = [{"n": n, "tags": ["ü", None], "at": {"x": n / 2}, "moment": MOMENT} for n in range(50)]
        collection.add(ids=[f"row {n}" for n in range(50)], vectors=VECTORS, metadata=metadata)
        collection.flush()
        collection.delete(["row 3"])
        yield collection


def test_parquet_and_arrow_keep_every_type(docs: nearrow.Collection, tmp_path: Path) -> None:
    rows = docs.to_arrow()
    assert docs.export(tmp_path / "rows.parquet", progress=True) == 49
    assert pq.read_table(tmp_path / "rows.parquet").equals(rows)
    docs.export(tmp_path / "rows.arrow")
    assert pa.ipc.open_file(tmp_path / "rows.arrow").read_all().equals(rows)


def test_json_lines_and_csv_are_read_back(docs: nearrow.Collection, tmp_path: Path) -> None:
    docs.export(tmp_path / "rows.jsonl", where="n < 5", columns=["id", "tags", "at", "moment"])
    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["row 0", "row 1", "row 2", "row 4"]
    assert lines[1] == {"id": "row 1", "tags": ["ü", None], "at": {"x": 0.5}, "moment": MOMENT.isoformat()}
    docs.export(tmp_path / "rows.csv", columns=["id", "vector", "n"])
    with nearrow.connect(":memory:") as db:
        back = db.adopt(tmp_path / "rows.csv", "back")
        assert back.to_arrow().equals(docs.scan(columns=["id", "vector", "n"]).read_all())


def test_numpy_gets_ids_and_vectors(docs: nearrow.Collection, tmp_path: Path) -> None:
    docs.export(tmp_path / "rows.npz")
    alive = [n for n in range(50) if n != 3]
    with np.load(tmp_path / "rows.npz") as arrays:
        assert arrays["ids"].tolist() == [f"row {n}" for n in alive]
        assert np.array_equal(arrays["vectors"], VECTORS[alive])
    docs.export(tmp_path / "rows.npy", where="n > 100")
    assert np.load(tmp_path / "rows.npy").shape == (0, 4)


def test_nothing_is_overwritten_or_left_half_written(
    docs: nearrow.Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.csv").write_text("mine")
    with pytest.raises(AlreadyExistsError):
        docs.export(tmp_path / "mine.csv")
    with pytest.raises(InvalidArgumentError, match="suffix"):
        docs.export(tmp_path / "rows.xls")
    with pytest.raises(FilterError):
        docs.export(tmp_path / "rows.csv", where="nothing > 1")

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(export, "_json", fail)
    with pytest.raises(MemoryError):
        docs.export(tmp_path / "rows.jsonl")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["library", "mine.csv"]
