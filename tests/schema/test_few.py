"""Few rows take a short way to Arrow: it gives what the long one gives, and refuses nothing by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from nearrow.errors import InvalidArgumentError
from nearrow.schema import CollectionConfig, batches
from nearrow.schema.few import FEW_ROWS, few_rows
from nearrow.schema.vectors import vector_type

UNIT = np.eye(3, dtype=np.float32)
KINDS = {"title": pa.string(), "year": pa.int64(), "price": pa.float64(), "sold": pa.bool_()}


def config_of(**settings: Any) -> CollectionConfig:
    return CollectionConfig("docs", 3, text_fields=("title",), **settings)


def schema_of(config: CollectionConfig, id_type: pa.DataType) -> pa.Schema:
    return pa.schema([("id", id_type), ("vector", vector_type(config)), *KINDS.items()])


def write_both_ways(
    config: CollectionConfig, schema: pa.Schema, **given: Any
) -> tuple[pa.RecordBatch | None, pa.RecordBatch]:
    short = few_rows(given.get("ids"), given.get("vectors"), given.get("texts"), given.get("metadata"), config, schema)
    tuple_ids = {**given, "ids": tuple(given["ids"])}  # takes the long way
    (long,) = batches(config=config, schema=schema, **tuple_ids)
    return short, long


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("vectors", [UNIT, UNIT.astype(np.float64), UNIT.tolist(), list(UNIT), UNIT[:, ::-1]])
@pytest.mark.parametrize("ids", [["a", "b", "ü"], [1, -2, 2**62]])
def test_both_ways_make_the_same_batch(dtype: str, vectors: Any, ids: list[Any]) -> None:
    config = config_of(dtype=dtype)
    schema = schema_of(config, pa.int64() if isinstance(ids[0], int) else pa.string())
    metadata = [{"year": 1999, "price": 1.5}, {}, {"sold": True, "year": None, "price": float("nan")}]
    short, long = write_both_ways(config, schema, ids=ids, vectors=vectors, texts=["x", None, ""], metadata=metadata)
    assert short is not None
    assert short.schema.equals(schema)
    assert str(short.to_pydict()) == str(long.to_pydict())
    by_column, long = write_both_ways(config, schema, ids=ids, vectors=vectors, metadata={"year": [1, 2, None]})
    assert by_column is not None
    assert by_column.equals(long)


@pytest.mark.parametrize(
    "given",
    [
        {"ids": ["a", "b", ""]},
        {"ids": ["a", "b", None]},
        {"ids": ["a", "b", 3]},
        {"ids": ["a", "b", "\ud800"]},
        {"ids": ["a", "b", True]},
        {"ids": ["a", "b", "c" * 513]},
        {"ids": ["a", "b"]},
        {"ids": [1, 2, 3]},
        {"ids": ["a"] * (FEW_ROWS + 1)},
        {"vectors": None},
        {"vectors": np.zeros((3, 3), np.float32)},
        {"vectors": np.diag([1, np.nan, 1]).astype(np.float32)},
        {"vectors": np.diag([1, np.inf, 1])},
        {"vectors": np.full((3, 3), 1e300)},
        {"vectors": np.full((3, 3), 3e38, np.float32)},
        {"vectors": np.eye(3, dtype=np.int64)},
        {"vectors": [["1", "0", "0"]] * 3},
        {"vectors": UNIT[:, :2]},
        {"vectors": [[1.0, 2.0, 3.0], [1.0], [2.0]]},
        {"texts": ["x"]},
        {"texts": {"title": ["x", "y", "z"]}},
        {"metadata": [{"year": 1}, {"year": True}, {}]},
        {"metadata": [{"year": 2**70}, {}, {}]},
        {"metadata": [{"year": 1.5}, {}, {}]},
        {"metadata": [{"price": 1}, {}, {}]},
        {"metadata": [{"new": 1}, {}, {}]},
        {"metadata": [{"id": "d"}, {}, {}]},
        {"metadata": {"title": ["t"] * 3}, "texts": ["x", "y", "z"]},
        {"metadata": {"vector": UNIT}},
        {"metadata": {"year": [1]}},
        {"metadata": [{}, None, {}]},
    ],
)
def test_what_is_not_plain_is_left_to_the_long_way(given: dict[str, Any]) -> None:
    config = config_of(metric="cosine")
    rows = {"ids": ["a", "b", "c"], "vectors": UNIT, "texts": None, "metadata": None, **given}
    schema = schema_of(config, pa.string())
    assert few_rows(rows["ids"], rows["vectors"], rows["texts"], rows["metadata"], config, schema) is None


def test_the_long_way_says_what_is_wrong() -> None:
    config = config_of(metric="cosine")
    with pytest.raises(InvalidArgumentError, match="zero"):
        batches(ids=["a"], vectors=np.zeros((1, 3)), config=config, schema=schema_of(config, pa.string()))
