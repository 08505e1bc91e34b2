"""Exchanging: what does DoExchange do? Query vectors in, hits out, one message for each, for as long as the client likes."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any

from nearrow.collection import Collection
from nearrow.errors import ClosedError, InvalidArgumentError, UnavailableError
from nearrow.hits import Hits
from nearrow.query.query import VectorQuery
from nearrow.schema import nearest_name
from nearrow.server.backend import Backend
from nearrow.server.calls import Call
from nearrow.server.gate import Turn
from nearrow.server.limits import Limits
from nearrow.server.messages import messages
from nearrow.server.searching import query_matrix, search
from nearrow.server.wire import compact
from nearrow.server.wire.questions import settings_of
from nearrow.server.wire.requests import COMPACT, ExchangeCommand, object_of


def exchange(backend: Backend, call: Call, asked: ExchangeCommand, reader: Any, writer: Any) -> None:
    """Answer each message, in the form that the stream has."""
    call.about["collection"] = asked.collection
    answer = _answer_compact if asked.form == COMPACT else _answer_batches
    with backend.gate.stream() as turn:
        answer(backend, call, asked.collection, turn, reader, writer)


def _answer_batches(backend: Backend, call: Call, name: str, turn: Turn, reader: Any, writer: Any) -> None:
    """A question comes with the vectors as metadata; without one, the last one counts.

    All answers of a stream have the columns of the first one. When they change (a column was added, another question
    asks for others), the stream ends with UnavailableError: the client opens another one.
    """
    settings: dict[str, Any] = {}
    schema = None
    answers = 0
    for batch, about in messages(reader, backend.limits):
        turn.begin()
        if about is not None:
            settings = settings_of(object_of(about))
        if batch is None or batch.num_rows == 0:
            if batch is not None:
                raise InvalidArgumentError("a message of queries has at least one vector")
            turn.end()
            continue
        vectors: Any = query_matrix(batch)
        if len(vectors) == 1 and not isinstance(settings.get("where"), list) and not _texts(settings):
            vectors = vectors[0]
        answer, told = search(backend, name, vectors, settings)
        if schema is None:
            schema = answer.schema
            writer.begin(schema)
        elif not answer.schema.equals(schema, check_metadata=True):
            raise UnavailableError("the columns of the answers have changed; open another stream")
        writer.write_with_metadata(answer, told)
        answers += 1
        call.about["answers"] = answers
        turn.end()


def _texts(settings: dict[str, Any]) -> bool:
    return isinstance(settings.get("text"), list)


def _answer_compact(backend: Backend, call: Call, name: str, turn: Turn, reader: Any, writer: Any) -> None:
    """Plain searches in the form of `wire.compact`, with as little as possible around the search itself."""
    read, write, limits, about = reader.read_chunk, writer.write_metadata, backend.limits, call.about
    slow = backend.slow_ms / 1000
    settings: dict[str, Any] = {"columns": ()}
    query: VectorQuery | None = VectorQuery()
    collection: Collection | None = None
    asked_for, answers = 0, 0
    while True:
        try:
            message = read().app_metadata
        except StopIteration:
            return
        turn.begin()
        if message is None:
            raise InvalidArgumentError("a compact question is a message's metadata; this message has none")
        if message.size > limits.message_bytes:
            limits.check_message(0, message.size)
        vectors, question = compact.unpack_question(message)
        queries = len(vectors)
        if question:
            limits.check_request(len(question))
            settings = _compact_settings(object_of(question))
            query = _query_of(settings)
        if question or queries != asked_for:
            limits.check_question(queries, settings)
            asked_for = queries
        began = perf_counter()
        answer = None
        if collection is not None and query is not None and queries == 1:
            try:
                answer = collection._search_packed(vectors[0], query, settings.get("where"))
            except ClosedError:
                answer = None  # it was dropped, and perhaps made anew
        if answer is None:
            collection = backend.database.collection(name)
            answer = _usual_answer(
                collection, vectors[0] if query is not None and queries == 1 else vectors, settings, limits
            )
        if perf_counter() - began >= slow:
            backend.note_slow("search", began, {"collection": name, "queries": queries, **settings})
        write(answer)
        answers += 1
        about["answers"] = answers
        turn.end()


def _usual_answer(collection: Collection, vectors: Any, settings: Mapping[str, Any], limits: Limits) -> bytes:
    found: Any = collection.search(vectors, **settings)
    hits: list[Hits] = found if isinstance(found, list) else [found]
    if settings.get("k", 10) is None:
        limits.check_hits(sum(map(len, hits)))
    return compact.pack_answer(hits)


def _query_of(settings: Mapping[str, Any]) -> VectorQuery | None:
    """What a single vector is asked for; None if each vector of a message has a filter of its own."""
    if isinstance(settings.get("where"), list):
        return None
    return VectorQuery(**{name: value for name, value in settings.items() if name not in ("where", "columns")})


def _compact_settings(asked: Mapping[str, Any]) -> dict[str, Any]:
    for name in asked:
        if name not in compact.SETTINGS:
            raise InvalidArgumentError(
                f"a compact question has no {name!r}{nearest_name(str(name), compact.SETTINGS)}; "
                "ask without the compact form"
            )
    return {**settings_of(asked), "columns": ()}
