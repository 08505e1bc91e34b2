"""Wire compact: how do a plain search and its hits travel in the fewest bytes and the least work?

One message without a record batch each way; all numbers little-endian.

    question    u32 queries · u32 dimension · float32 vectors [queries, dimension] · the question as JSON
    answer      u32 queries · u32 hits · u32 kind of ids · u32 zero · ids [hits] · float32 distances [hits]
                · u32 hits of each query [queries] · cursors [queries, 32 bytes] · texts

A question without JSON asks as the one before. ids are int64 (kind 0), or the u32 ends of their UTF-8 texts (kind 1), which
come last. A cursor is text, or zeros behind the last row. Scores follow from distances, and columns do not travel.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearrow.errors import InvalidArgumentError, NearrowError
from nearrow.hits import Hits
from nearrow.query.hit_rows import scores_of
from nearrow.server.wire.hits import joined_ids

SETTINGS = ("k", "where", "ef_search", "target_recall", "exact", "within")
"""What a compact question may say: whatever is answered with ids and distances."""
INTEGERS, TEXTS = 0, 1
CURSOR_BYTES = 32
NO_CURSOR = bytes(CURSOR_BYTES)
_QUESTION = struct.Struct("<II")
_ANSWER = struct.Struct("<IIII")


def pack_question(vectors: npt.NDArray[np.float32], question: bytes) -> bytes:
    """vectors: [queries, dimension]. question: JSON, or nothing: ask as before."""
    return _QUESTION.pack(*vectors.shape) + vectors.tobytes() + question


def unpack_question(message: pa.Buffer) -> tuple[npt.NDArray[np.float32], bytes]:
    """Vectors [queries, dimension], aligned, and the JSON; InvalidArgumentError for another form."""
    size = message.size
    if size < _QUESTION.size:
        raise InvalidArgumentError(f"a compact question begins with {_QUESTION.size} bytes; the message has {size}")
    queries, dimension = _QUESTION.unpack_from(message)
    end = _QUESTION.size + 4 * queries * dimension
    if queries == 0 or dimension == 0 or end > size:
        raise InvalidArgumentError(
            f"a message of {size:,} bytes does not hold {queries:,} vectors of {dimension:,} dimensions"
        )
    vectors = np.frombuffer(message, "<f4", queries * dimension, _QUESTION.size)
    if not vectors.flags.aligned:  # as a message may begin anywhere
        vectors = vectors.copy()
    return vectors.reshape(queries, dimension), b"" if end == size else message.slice(end).to_pybytes()


def pack_answer(found: Sequence[Hits]) -> bytes:
    """The ids, distances and cursors of each query's hits."""
    ids = joined_ids(found)
    distances = found[0].distances if len(found) == 1 else np.concatenate([hits.distances for hits in found])
    texts: list[bytes] = []
    if ids.dtype == object:
        texts = [text.encode() for text in ids]
        kind, fixed = TEXTS, _numbers(len(texts)).pack(*accumulate(map(len, texts)))
    else:
        kind, fixed = INTEGERS, ids.astype("<i8", copy=False).tobytes()
    return b"".join(
        (
            _ANSWER.pack(len(found), len(distances), kind, 0),
            fixed,
            distances.astype("<f4", copy=False).tobytes(),
            _numbers(len(found)).pack(*map(len, found)),
            *(NO_CURSOR if hits.cursor is None else hits.cursor.encode() for hits in found),
            *texts,
        )
    )


def unpack_answer(message: bytes, metric: str) -> list[Hits]:
    """The Hits of each query; ids are read when they are asked for."""
    try:
        queries, rows, kind, _ = _ANSWER.unpack_from(message)
        distances_at = _ANSWER.size + rows * (8 if kind == INTEGERS else 4)
        counts_at = distances_at + 4 * rows
        distances = np.frombuffer(message, "<f4", rows, distances_at)
        counts = (rows,) if queries == 1 else _numbers(queries).unpack_from(message, counts_at)
        cursors_at = counts_at + 4 * queries
        texts_at = cursors_at + CURSOR_BYTES * queries
        if kind not in (INTEGERS, TEXTS) or sum(counts) != rows or len(message) < texts_at:
            raise ValueError("its parts do not fit together")
    except (ValueError, struct.error) as error:
        raise NearrowError(f"the server's answer holds no hits ({error}); is it a Nearrow server?") from None

    if queries == 1:
        return [Hits(_AnswerRows(message, metric, distances, kind, rows, texts_at, 0, cursors_at), distances)]
    found, first = [], 0
    for query, count in enumerate(counts):
        far, at = distances[first : first + count], cursors_at + CURSOR_BYTES * query
        found.append(Hits(_AnswerRows(message, metric, far, kind, rows, texts_at, first, at), far))
        first += count
    return found


class _AnswerRows:
    """What the hits of one query read from an answer that holds those of all."""

    __slots__ = ("_about", "_distances", "_message", "_metric")

    def __init__(self, message: bytes, metric: str, distances: npt.NDArray[np.float32], *about: int) -> None:
        """about: the kind of the ids, how many rows there are in all, where the texts begin, this query's first row, and
        where its cursor lies."""
        self._message = message
        self._metric = metric
        self._distances = distances
        self._about = about

    def scores(self) -> npt.NDArray[np.float32]:
        return scores_of(self._metric, self._distances)

    def columns(self) -> pa.Table:
        return pa.table({})

    def cursor(self) -> str | None:
        at = self._about[-1]
        packed = self._message[at : at + CURSOR_BYTES]
        return None if packed == NO_CURSOR else packed.decode()

    def ids(self) -> npt.NDArray[Any]:
        message, count = self._message, len(self._distances)
        kind, rows, texts_at, first, _ = self._about
        if kind == INTEGERS:
            return np.frombuffer(message, "<i8", rows, _ANSWER.size)[first : first + count]
        ends = _numbers(rows).unpack_from(message, _ANSWER.size)
        start = texts_at + (ends[first - 1] if first else 0)
        ids = np.empty(count, object)
        for number, end in enumerate(ends[first : first + count]):
            ids[number] = message[start : texts_at + end].decode()
            start = texts_at + end
        return ids


@lru_cache(maxsize=256)
def _numbers(count: int) -> struct.Struct:
    """So many u32."""
    return struct.Struct(f"<{count}I")
