"""Writing: what does DoPut do?

Each batch is one atomic write and acknowledged when it is durable; or the whole stream is one, which happens when the
client has said {"commit": true}: a stream that only ends may be one whose client died.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from nearrow.collection import Collection
from nearrow.errors import InvalidArgumentError, NotFoundError, UnavailableError
from nearrow.schema import CollectionConfig
from nearrow.server.backend import Backend, refuse_models
from nearrow.server.messages import messages
from nearrow.server.wire.requests import PutCommand, check_request, check_write, object_of
from nearrow.server.wire.transactions import unpack
from nearrow.server.wire.values import dumps
from nearrow.write.transaction import Transaction

Acknowledge = Callable[[bytes], None]


def put(backend: Backend, command: PutCommand, reader: Any, acknowledge: Acknowledge) -> None:
    """Do what the stream says; `acknowledge` sends a message back."""
    collection = target(backend, command, reader.schema)
    if command.write == "transaction" or command.atomic:
        stream = CommittedStream(backend, reader)
        rows = backend.ledger.once(
            command.collection, command.request, lambda: write_whole(collection, command.write, stream)
        )
        stream.drain()
        acknowledge(dumps({"rows": rows, "request": command.request}))
        return
    for batch, about in messages(reader, backend.limits):
        told = {} if about is None else object_of(about)
        write, request = told.get("write", command.write), told.get("request")
        check_write(write)
        check_request(request)
        if batch is None:
            continue
        rows = backend.ledger.once(command.collection, request, partial(write_batch, collection, write, batch))
        acknowledge(dumps({"rows": rows, "request": request}))


def target(backend: Backend, command: PutCommand, schema: pa.Schema) -> Collection:
    """The collection, made first if there is none and the command says with which settings."""
    try:
        return backend.collection(command.collection)
    except NotFoundError:
        if command.create is None:
            raise
    settings = {"dimension": vector_dimension(schema), **command.create}
    if settings["dimension"] is None:
        raise InvalidArgumentError("create needs a dimension: the vectors of this stream are lists of no fixed size")
    refuse_models(settings)
    backend.limits.check_dimension(settings["dimension"])
    config = CollectionConfig.from_dict({**settings, "name": command.collection}).to_dict()
    return backend.database.get_or_create_collection(**config)


def vector_dimension(schema: pa.Schema) -> int | None:
    index = schema.get_field_index("vector")
    kind = None if index < 0 else schema.field(index).type
    return kind.list_size if kind is not None and pt.is_fixed_size_list(kind) else None


def write_batch(collection: Collection, write: str, batch: pa.RecordBatch) -> int:
    """One batch as one atomic write."""
    if write == "delete":
        return collection.delete(_ids(batch))
    if write == "transaction":
        raise InvalidArgumentError("a transaction is a stream of its own; open one with that command")
    return int(getattr(collection, write)(batch))


class CommittedStream:
    """The batches of a stream that ends with {"commit": true}; UnavailableError if it ends without."""

    def __init__(self, backend: Backend, reader: Any) -> None:
        self._messages = messages(reader, backend.limits)
        self._committed = False

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch, about in self._messages:
            if batch is not None:
                yield batch
            if about is not None and object_of(about).get("commit") is True:
                self._committed = True
                return
        raise UnavailableError("the stream ended before it was committed; nothing was written")

    def drain(self) -> None:
        """Read on until the commit, for a write that had been done before and needed no rows."""
        if not self._committed:
            for _ in self:
                continue


def write_whole(collection: Collection, write: str, stream: CommittedStream) -> int:
    """The whole stream as one atomic write."""
    if write == "transaction":
        return _transaction(collection, stream)
    if write in ("add", "upsert"):
        return int(getattr(collection, write)(iter(stream)))
    batches = list(stream)
    if not batches:
        return 0
    table = pa.Table.from_batches(batches)
    return collection.update(table) if write == "update" else collection.delete(_ids(table))


def _transaction(collection: Collection, stream: CommittedStream) -> int:
    transaction = Transaction(collection._writer())  # its commit says how many rows it concerned
    for batch in stream:
        for write, rows in unpack(batch):
            getattr(transaction, write)(_ids(rows) if write == "delete" else rows)
    return transaction.commit()


def _ids(rows: pa.RecordBatch | pa.Table) -> Any:
    if rows.schema.get_field_index("id") < 0:
        raise InvalidArgumentError(f"a delete needs a column id; there are: {', '.join(rows.schema.names)}")
    return rows.column("id")
