"""Wire hits: how does what a search found travel?

One record batch for all queries of a question: id, distance, score, the further scores of a hybrid search, then the
columns asked for. Its schema's metadata says which of them are what ("nearrow": {"parts": […], "columns": […]}); the
message's metadata says how many rows each query got, {"counts": […]}, and beside it "cursors", "facets", "explanations".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from nearrow.errors import NearrowError
from nearrow.hits import NO_PARTS, Hits
from nearrow.server.wire.values import decode, dumps, encode

LAYOUT = b"nearrow"
FRONT = ("id", "distance", "score")


@dataclass(frozen=True)
class RemoteExplanation:
    """What `explain=True` says, as the server's own: str() for people, to_dict() for programs."""

    text: str
    told: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return dict(self.told)

    def __str__(self) -> str:
        return self.text


@lru_cache(maxsize=256)
def _front_schema(parts: tuple[str, ...], columns: tuple[str, ...], types: tuple[pa.DataType, ...]) -> pa.Schema:
    """id, distance, score and the parts, with the metadata that says what `columns` follow."""
    layout = {LAYOUT: json.dumps({"parts": parts, "columns": columns}).encode()}
    return pa.schema(list(zip((*FRONT, *parts), types, strict=True)), layout)


@lru_cache(maxsize=256)
def _layout(packed: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    told = json.loads(packed)
    return tuple(told["parts"]), tuple(told["columns"])


def encode_hits(found: Sequence[Hits], columns: Sequence[str]) -> tuple[pa.RecordBatch, bytes]:
    """The batch and the message's metadata. columns: what was asked for; nothing is read from the rows for "id" alone."""
    first = found[0]
    single = len(found) == 1
    ids = joined_ids(found)
    arrays = [
        pa.array(ids, pa.string() if ids.dtype == object else pa.int64()),
        float32_array(first.distances if single else np.concatenate([hits.distances for hits in found])),
        float32_array(first.scores if single else np.concatenate([hits.scores for hits in found])),
    ]
    for part in first.parts:
        arrays.append(pa.array(first.parts[part] if single else np.concatenate([hits.parts[part] for hits in found])))
    stored = [name for name in columns if name != "id"]
    schema = _front_schema(tuple(first.parts), tuple(columns), tuple(array.type for array in arrays))
    if stored:
        table = first._table if single else pa.concat_tables([hits._table for hits in found])
        for name in stored:
            column = table.column(name)
            arrays.append(column.chunk(0) if column.num_chunks == 1 else column.combine_chunks())
            schema = schema.append(table.schema.field(name))
    return pa.RecordBatch.from_arrays(arrays, schema=schema), _about(found)


def joined_ids(found: Sequence[Hits]) -> np.ndarray[Any, Any]:
    """The ids of all: int64, or an object array of str. A query that finds nothing does not say which they are."""
    if len(found) == 1:
        return found[0].ids
    some = [hits.ids for hits in found if len(hits)]
    return np.concatenate(some) if some else found[0].ids


def float32_array(values: np.ndarray[Any, Any]) -> pa.Array:
    """What pa.array() makes of it, in a third of the time: this is done for every search."""
    packed = np.ascontiguousarray(values, np.float32)
    return pa.Array.from_buffers(pa.float32(), len(packed), [None, pa.py_buffer(packed)])


def _about(found: Sequence[Hits]) -> bytes:
    if len(found) == 1 and found[0].facets is NO_PARTS and found[0].explanation is None:
        cursor = found[0].cursor  # base64, which JSON need not escape
        quoted = "null" if cursor is None else f'"{cursor}"'
        return f'{{"counts":[{len(found[0])}],"cursors":[{quoted}]}}'.encode()
    about: dict[str, Any] = {"counts": [len(hits) for hits in found], "cursors": [hits.cursor for hits in found]}
    if any(hits.facets is not NO_PARTS for hits in found):
        about["facets"] = [encode(hits.facets) for hits in found]
    if found[0].explanation is not None:
        about["explanations"] = [
            {"text": str(hits.explanation), "told": encode(hits.explanation.to_dict())} for hits in found
        ]
        return dumps(about)
    return json.dumps(about).encode()


def decode_hits(batch: pa.RecordBatch, about: bytes, snippet: Callable[[str, str], Any] | None) -> list[Hits]:
    """The Hits of each query. snippet: asks the server for one; None if the question had no text."""
    packed = (batch.schema.metadata or {}).get(LAYOUT)
    if packed is None:
        raise NearrowError("the server's answer holds no hits; is it a Nearrow server of this version?")
    parts, columns = _layout(packed)
    told = json.loads(about)
    counts = told["counts"]
    if len(counts) == 1:
        return [_one(batch, parts, columns, told, 0, snippet)]
    found, start = [], 0
    for number, count in enumerate(counts):
        found.append(_one(batch.slice(start, count), parts, columns, told, number, snippet))
        start += count
    return found


def _one(
    batch: pa.RecordBatch,
    parts: tuple[str, ...],
    columns: tuple[str, ...],
    told: Mapping[str, Any],
    number: int,
    snippet: Callable[[str, str], Any] | None,
) -> Hits:
    front = len(FRONT)
    hits = Hits(
        _BatchRows(batch, columns, front + len(parts), told["cursors"][number]),
        batch.column(1).to_numpy(),
        parts={name: batch.column(front + at).to_numpy(zero_copy_only=False) for at, name in enumerate(parts)},
    )
    if "facets" in told:
        hits.facets = decode(told["facets"][number])
    if "explanations" in told:
        explained = told["explanations"][number]
        hits.explanation = RemoteExplanation(explained["text"], decode(explained["told"]))
    hits.snippet = snippet
    return hits


class _BatchRows:
    """What the hits of one query read from its rows of the batch. `at` is where the columns asked for begin."""

    def __init__(self, batch: pa.RecordBatch, names: tuple[str, ...], at: int, cursor: str | None) -> None:
        self._batch = batch
        self._names = names
        self._at = at
        self._cursor = cursor

    def ids(self) -> np.ndarray[Any, Any]:
        column = self._batch.column(0)
        if pa.types.is_int64(column.type):
            return column.to_numpy()
        ids = np.empty(len(column), object)
        ids[:] = column.to_pylist()
        return ids

    def scores(self) -> np.ndarray[Any, Any]:
        return self._batch.column(2).to_numpy()

    def columns(self) -> pa.Table:
        """Under their names, in their order."""
        arrays, fields, at = [], [], self._at
        for name in self._names:
            index = 0 if name == "id" else at
            at += name != "id"
            arrays.append(self._batch.column(index))
            fields.append(self._batch.schema.field(index))
        return pa.Table.from_arrays(arrays, schema=pa.schema(fields))

    def cursor(self) -> str | None:
        return self._cursor
