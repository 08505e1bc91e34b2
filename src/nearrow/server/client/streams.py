"""Streams: how does a search go to the server in one short round trip?

A call costs several hundred microseconds to begin. So each thread keeps a few DoExchange streams open, one for each form
of answer that it asks for, and a question is one message on one of them. A stream that breaks, or is refused, is dropped;
the next attempt opens another one.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import flight

from nearrow.errors import UnavailableError
from nearrow.server.client.connection import CALL_ERRORS, Connection
from nearrow.server.wire.compact import pack_question
from nearrow.server.wire.hits import float32_array
from nearrow.server.wire.requests import BATCHES, COMPACT, ExchangeCommand

STREAMS_MAX = 8
"""Of one thread; the one that was not used for longest is closed."""
MESSAGE_QUERIES = 256
LOOK_SECONDS = 0.25
ENDED = "the server ended the stream of questions"

Answer = tuple[pa.RecordBatch, bytes]


class QueryStream:
    """One open DoExchange. REQUIRES: one thread at a time."""

    form = BATCHES

    def __init__(self, client: flight.FlightClient, options: flight.FlightCallOptions, collection: str) -> None:
        descriptor = ExchangeCommand(collection, self.form).to_descriptor()
        self._writer, self._reader = client.do_exchange(descriptor, options)
        self._schema: pa.Schema | None = None
        self._asked: bytes | None = None
        self.due: float | None = None
        """When the answer that is waited for has to be here."""

    def ask(self, vectors: npt.NDArray[Any], question: bytes, seconds: float) -> list[Any]:
        """The answers to one message for each 256 queries. The next one is on its way while one is answered."""
        self.due = time.monotonic() + seconds
        try:
            if len(vectors) <= MESSAGE_QUERIES:
                self._send(vectors, question)
                return [self._receive()]
            answers = []
            self._send(vectors[:MESSAGE_QUERIES], question)
            for start in range(MESSAGE_QUERIES, len(vectors), MESSAGE_QUERIES):
                self._send(vectors[start : start + MESSAGE_QUERIES], question)
                answers.append(self._receive())
            answers.append(self._receive())
            return answers
        finally:
            self.due = None

    def _send(self, vectors: npt.NDArray[Any], question: bytes) -> None:
        column = pa.FixedSizeListArray.from_arrays(float32_array(vectors.reshape(-1)), vectors.shape[1])
        if self._schema is None:
            self._schema = pa.schema([pa.field("vector", column.type)])
            self._writer.begin(self._schema)
        batch = pa.RecordBatch.from_arrays([column], schema=self._schema)
        if question == self._asked:
            self._writer.write_batch(batch)
        else:
            self._writer.write_with_metadata(batch, question)
            self._asked = question

    def _receive(self) -> Any:
        chunk = self._next()
        return chunk.data, chunk.app_metadata.to_pybytes()

    def _next(self) -> flight.FlightStreamChunk:
        try:
            return self._reader.read_chunk()
        except StopIteration:
            raise UnavailableError(ENDED) from None

    def cancel(self) -> None:
        self._reader.cancel()

    def close(self) -> None:
        """End the call, in order if no answer is waited for."""
        with suppress(flight.FlightError, pa.ArrowException, OSError):  # what ended it was told before
            if self.due is None:
                self._writer.close()
            else:
                self.cancel()


class CompactStream(QueryStream):
    """The same with the shortest messages; see `wire.compact`."""

    form = COMPACT

    def _send(self, vectors: npt.NDArray[Any], question: bytes) -> None:
        self._writer.write_metadata(pack_question(vectors, b"" if question == self._asked else question))
        self._asked = question

    def _receive(self) -> Any:
        return self._next().app_metadata.to_pybytes()

    def ask_one(self, vectors: npt.NDArray[Any], question: bytes, due: float) -> bytes:
        """The answer to one message, with as few calls as can be."""
        self.due = due
        try:
            self._writer.write_metadata(pack_question(vectors, b"" if question == self._asked else question))
            self._asked = question
            answer: bytes = self._reader.read_chunk().app_metadata.to_pybytes()
        except StopIteration:
            raise UnavailableError(ENDED) from None
        finally:
            self.due = None
        return answer


class _Mine(threading.local):
    """The open streams of this thread, the one used last at the end."""

    def __init__(self) -> None:
        self.open: OrderedDict[Any, QueryStream] = OrderedDict()


class Streams:
    """The open streams of every thread of a client."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._mine = _Mine()
        self._all: weakref.WeakSet[QueryStream] = weakref.WeakSet()
        self._mutex = threading.Lock()
        self._watch: threading.Thread | None = None
        self._closed = threading.Event()

    def ask(self, collection: str, form: object, vectors: npt.NDArray[Any], question: bytes) -> Sequence[Answer]:
        """The answers to the question for vectors [queries, dimension]: (batch, metadata) of each message.

        form: equal for questions with equal columns.
        """
        return self._ask(QueryStream, (collection, vectors.shape[1], form), vectors, question)

    def ask_compact(self, collection: str, vectors: npt.NDArray[Any], question: bytes) -> Sequence[bytes]:
        """The same for a plain search: each message as `wire.compact` packs it."""
        key, mine, began, failed = (collection, COMPACT), self._mine.open, None, None
        stream = mine.get(key)
        if isinstance(stream, CompactStream) and len(vectors) <= MESSAGE_QUERIES:
            self._connection.check_open()
            mine.move_to_end(key)
            began = time.monotonic()
            try:
                return [stream.ask_one(vectors, question, began + self._connection.deadline_seconds)]
            except BaseException as error:
                self._drop(key, stream)
                if not isinstance(error, CALL_ERRORS):
                    raise
                failed = error
        return self._ask(CompactStream, key, vectors, question, began, failed)

    def _ask(
        self,
        kind: type[QueryStream],
        key: tuple[Any, ...],
        vectors: npt.NDArray[Any],
        question: bytes,
        began: float | None = None,
        failed: Exception | None = None,
    ) -> Sequence[Any]:
        def once(client: flight.FlightClient, seconds: float) -> list[Any]:
            stream = self._stream(kind, key, client)
            try:
                return stream.ask(vectors, question, seconds)
            except BaseException:
                self._drop(key, stream)
                raise

        return self._connection.attempts(once, began, failed)

    def _drop(self, key: tuple[Any, ...], stream: QueryStream) -> None:
        self._mine.open.pop(key, None)
        stream.close()

    def _stream(self, kind: type[QueryStream], key: tuple[Any, ...], client: flight.FlightClient) -> QueryStream:
        mine = self._mine.open
        stream = mine.get(key)
        if stream is not None:
            mine.move_to_end(key)
            return stream
        stream = kind(client, self._connection.call_options(None), key[0])
        mine[key] = stream
        with self._mutex:
            self._all.add(stream)
            if self._watch is None:
                self._watch = threading.Thread(target=_watch, args=(weakref.ref(self), self._closed), daemon=True)
                self._watch.start()
        if len(mine) > STREAMS_MAX:
            mine.popitem(last=False)[1].close()
        return stream

    def cancel_overdue(self, now: float) -> None:
        """A deadline for a stream as a whole would end it; so each answer has one, which is looked after here."""
        with self._mutex:
            overdue = [stream for stream in self._all if stream.due is not None and stream.due < now]
        for stream in overdue:
            stream.cancel()

    def close(self) -> None:
        self._closed.set()
        with self._mutex:
            streams = list(self._all)
        for stream in streams:
            stream.close()


def _watch(streams: Callable[[], Streams | None], closed: threading.Event) -> None:
    while not closed.wait(LOOK_SECONDS):
        watched = streams()
        if watched is None:
            return
        watched.cancel_overdue(time.monotonic())
        del watched


def as_matrix(vectors: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """[dimension] as [1, dimension]."""
    return vectors if vectors.ndim == 2 else vectors[np.newaxis]
