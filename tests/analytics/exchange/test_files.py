"""Sources: does a file of any kind give the same rows?"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from nearrow.analytics.exchange.files import open_rows, vector_dimension
from nearrow.errors import InvalidArgumentError, NotFoundError, SchemaError

SAME_NAMES = {"id": "id", "vector": "vector"}
VECTORS = [[1.0, 0.5], [0.25, 2.0], [-1.0, 4.0]]


def table_of_rows() -> pa.Table:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.array(VECTORS, dtype=np.float32).ravel()), 2)
    return pa.table({"id": ["a", "b", "c"], "vector": vectors, "year": [1, 2, 3]})


def write_rows(path: Path) -> Path:
    table = table_of_rows()
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".arrow":
        feather.write_feather(table, str(path), compression="uncompressed")
    elif path.suffix == ".arrows":
        with pa.ipc.new_stream(str(path), table.schema) as writer:
            writer.write_table(table)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    else:
        mark = "\t" if path.suffix == ".tsv" else ","
        lines = [mark.join(("id", "vector", "year"))]
        lines += [mark.join((r["id"], f'"{json.dumps(r["vector"])}"', str(r["year"]))) for r in table.to_pylist()]
        path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".arrows", ".jsonl", ".csv", ".tsv"])
def test_every_format_gives_the_same_rows(tmp_path: Path, suffix: str) -> None:
    path = write_rows(tmp_path / f"rows{suffix}")
    reader = open_rows(path, SAME_NAMES)
    assert vector_dimension(reader, path) == 2
    assert reader.read_all().to_pylist() == table_of_rows().to_pylist()


def test_columns_are_renamed(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(table_of_rows().rename_columns(["key", "embedding", "year"]), path)
    rows = open_rows(path, {"key": "id", "embedding": "vector"}).read_all()
    assert rows.column_names == ["id", "vector", "year"]


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.parquet")
    with pytest.raises(NotFoundError, match=r"no column 'embedding'.*id, vector, year"):
        open_rows(path, {"id": "id", "embedding": "vector"})


def test_a_rename_onto_a_column_that_is_there_is_refused(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.parquet")
    with pytest.raises(SchemaError, match="rename one of them"):
        open_rows(path, {"year": "id", "vector": "vector"})


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such file"):
        open_rows(tmp_path / "none.parquet", SAME_NAMES)


def test_an_unknown_suffix_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    path = tmp_path / "rows.xlsx"
    path.write_bytes(b"?")
    with pytest.raises(InvalidArgumentError, match=r"\.parquet"):
        open_rows(path, SAME_NAMES)


def test_a_file_that_is_not_what_its_suffix_says_is_a_schema_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"this is not Parquet")
    with pytest.raises(SchemaError, match="not readable as parquet"):
        open_rows(path, SAME_NAMES)


def test_lists_of_different_lengths_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "a", "vector": [1, 2]}\n{"id": "b", "vector": [1]}\n')
    with pytest.raises(SchemaError, match="different lengths"):
        open_rows(path, SAME_NAMES).read_all()


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(table_of_rows().slice(0, 0), path)
    with pytest.raises(InvalidArgumentError, match="no rows"):
        open_rows(path, SAME_NAMES)


def test_a_csv_vector_that_is_no_list_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,vector\na,not a list\n")
    with pytest.raises(SchemaError, match="'not a list'"):
        open_rows(path, SAME_NAMES)
