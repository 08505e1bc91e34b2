"""Exchanging: what does DoExchange do? Query vectors in, hits out, one message for each, for as long as the client likes."""

from __future__ import annotations

from typing import Any

from nearrow.errors import InvalidArgumentError, UnavailableError
from nearrow.server.backend import Backend
from nearrow.server.calls import Call
from nearrow.server.messages import messages
from nearrow.server.searching import query_matrix, search
from nearrow.server.wire.questions import settings_of
from nearrow.server.wire.requests import object_of


def exchange(backend: Backend, call: Call, name: str, reader: Any, writer: Any) -> None:
    """Answer each message. A question comes with the vectors as metadata; without one, the last one counts.

    All answers of a stream have the columns of the first one. When they change (a column was added, another question
    asks for others), the stream ends with UnavailableError: the client opens another one.
    """
    call.about["collection"] = name
    settings: dict[str, Any] = {}
    schema = None
    answers = 0
    for batch, about in messages(reader, backend.limits):
        with backend.gate.working():
            if about is not None:
                settings = settings_of(object_of(about))
            if batch is None or batch.num_rows == 0:
                if batch is not None:
                    raise InvalidArgumentError("a message of queries has at least one vector")
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


def _texts(settings: dict[str, Any]) -> bool:
    return isinstance(settings.get("text"), list)
