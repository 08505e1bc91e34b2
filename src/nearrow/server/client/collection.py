"""Remote collection: how does a collection behind a server have the verbs of `Collection`?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import pyarrow as pa

from nearrow.analytics.snapshot_metadata import SnapshotMetadata
from nearrow.awaitable import awaited_write
from nearrow.errors import (
    AlreadyExistsError,
    ClosedError,
    InvalidArgumentError,
    NearrowError,
    ReadOnlyError,
)
from nearrow.progress import bar, steps
from nearrow.schema import CollectionConfig, base_schema, batches, canonical_id_array, rows_or_keywords
from nearrow.schema.sources import open_source
from nearrow.server.client.connection import Connection
from nearrow.server.client.models import RemoteModels
from nearrow.server.client.reading import RemoteReading
from nearrow.server.client.sending import send
from nearrow.server.client.streams import Streams
from nearrow.server.client.transaction import RemoteTransaction
from nearrow.server.wire.questions import encoded_filter
from nearrow.server.wire.records import record_of
from nearrow.storage.manifest import FileEntry
from nearrow.write.report import Repair, Report
from nearrow.write.stats import Stats

Rows = Any
"""As in `Collection`."""


class RemoteCollection(RemoteModels, RemoteReading):
    """Rows with an id, a vector, texts and metadata, kept by a server. Any thread may use it."""

    def __init__(self, connection: Connection, streams: Streams, config: CollectionConfig, read_only: bool) -> None:
        self._open_connection = connection
        self._streams = streams
        self._config = config
        self._read_only = read_only
        self._closed = False

    @property
    def name(self) -> str:
        return self._config.name

    @property
    def config(self) -> CollectionConfig:
        """The settings that it was created with."""
        return self._config

    @property
    def _connection(self) -> Connection:
        if self._closed:
            raise ClosedError(f"collection {self.name!r} is closed; open it again")
        return self._open_connection

    def __repr__(self) -> str:
        config = self.config
        return f"<RemoteCollection {self.name!r}: {config.dimension} dimensions, {config.metric}>"

    # ---- writing

    def add(
        self,
        rows: Rows = None,
        *,
        ids: Any = None,
        vectors: Any = None,
        texts: Any = None,
        metadata: Any = None,
        progress: bool = False,
    ) -> int:
        """Like `Collection.add`: one atomic batch, on the server's disk when it returns."""
        return self._put("add", rows_or_keywords(rows, ids, vectors, texts, metadata, self.config), progress)

    def upsert(
        self,
        rows: Rows = None,
        *,
        ids: Any = None,
        vectors: Any = None,
        texts: Any = None,
        metadata: Any = None,
        progress: bool = False,
    ) -> int:
        """Like `Collection.upsert`: one atomic batch, on the server's disk when it returns."""
        return self._put("upsert", rows_or_keywords(rows, ids, vectors, texts, metadata, self.config), progress)

    def _put(self, write: str, rows: Rows, progress: bool) -> int:
        connection = self._writable()
        source = open_source(rows, self.config, partial=False)
        if not source.schemas:
            return 0

        def done_before(refusal: NearrowError) -> int:
            """Whether the first attempt of an add was done after all: then its rows are there, as they were sent."""
            if write == "add" and isinstance(refusal, AlreadyExistsError) and self._holds(rows):
                return int(source.count or 0)
            raise refusal

        with bar(f"writing to {self.name}", source.count, progress) as advance:
            count = send(
                connection,
                self.name,
                write,
                source.schemas[0],
                lambda: (batch for batch, _ in source.pieces),
                repeatable=not source.streamed,
                advance=advance,
                after_retry=done_before,
            )
        if progress:
            self.wait(progress)
        return count

    def _holds(self, rows: Rows) -> bool:
        schema = self.schema
        for batch in batches(rows, config=self.config, schema=schema):
            names = batch.schema.names
            if not set(names) <= set(schema.names):
                return False
            found = self.get(batch.column("id"), columns=names).combine_chunks()
            if not found.equals(pa.Table.from_batches([batch]).cast(found.schema)):
                return False
        return True

    def update(
        self,
        rows: Rows = None,
        *,
        where: Any = None,
        ids: Any = None,
        vectors: Any = None,
        texts: Any = None,
        metadata: Any = None,
    ) -> int:
        """Like `Collection.update`."""
        self._writable()
        if where is not None:
            if not isinstance(rows, dict) or "id" in rows:
                raise InvalidArgumentError("update(where=…) takes one dict of new values, without an id")
            return int(self._ask("update", where=encoded_filter(where), values=rows, unlimited=True))
        transaction = RemoteTransaction(self._connection, self.config, self.schema)
        transaction.update(rows, ids=ids, vectors=vectors, texts=texts, metadata=metadata)
        return transaction.commit()

    def delete(self, ids: Any = None, *, where: Any = None) -> int:
        """Like `Collection.delete`. Asked again after the server died, it counts only what was still there."""
        connection = self._writable()
        if (ids is None) == (where is None):
            raise InvalidArgumentError("delete() needs either ids or where=")
        if where is not None:
            return int(self._ask("delete", where=encoded_filter(where), unlimited=True))
        batch = pa.record_batch({"id": canonical_id_array(ids, base_schema(self.config))})
        return send(
            connection,
            self.name,
            "delete",
            batch.schema,
            lambda: [batch],
            repeatable=True,
            advance=lambda rows: None,
        )

    @contextmanager
    def transaction(self) -> Iterator[RemoteTransaction]:
        """Collect writes and make them one atomic unit at the end of the block; an exception rolls all back."""
        transaction = RemoteTransaction(self._writable(), self.config, self.schema)
        yield transaction
        transaction.commit()

    aadd = awaited_write(add)
    aupsert = awaited_write(upsert)
    aupdate = awaited_write(update)
    adelete = awaited_write(delete)

    # ---- upkeep

    def flush(self) -> None:
        """Seal: every row is in a segment when this returns."""
        self._upkeep("flush")

    def compact(self, progress: bool = False) -> None:
        """Merge everything into one segment without dead rows, and build its graph."""
        with steps(f"compacting {self.name}", progress):
            self._upkeep("compact")

    def wait(self, progress: bool = False) -> None:
        """Return when no background work (sealing, graphs, merges) is left; StorageError if it failed."""
        with steps(f"waiting for the background work of {self.name}", progress):
            self._upkeep("wait")

    aflush = awaited_write(flush)
    acompact = awaited_write(compact)

    def _upkeep(self, action: str) -> None:
        self._writable()
        self._ask(action, unlimited=True)

    def refresh(self) -> None:
        """A server always answers from the newest version."""
        self._connection.check_open()

    def stats(self) -> Stats:
        """Rows live and dead, each segment, its graph, memtable, log, bytes by kind of file, memory of the server."""
        return record_of(Stats, self._ask("stats"))

    def check(self) -> Report:
        """Read every byte on the server's disk and say what is wrong; `report.ok` if nothing is."""
        return record_of(Report, self._ask("check", unlimited=True))

    def repair(self) -> Repair:
        """Like `Collection.repair`; needs a token with the role admin."""
        self._writable()
        return record_of(Repair, self._ask("repair", unlimited=True))

    def snapshot(
        self,
        path: str | os.PathLike[str],
        *,
        compression: str = "snappy",
        row_group_rows: int = 1 << 15,
        data_page_bytes: int = 1 << 20,
        byte_stream_split: bool = True,
        filesystem: Any = None,
        every: Any = None,
        keep: int | None = None,
    ) -> SnapshotMetadata:
        """Like `Collection.snapshot`; `path` is a name in the server's folder of snapshots (`nearrow serve --snapshots`).

        Where they lie and how often they are taken is the server's affair: no filesystem=, every= or keep=.
        """
        if filesystem is not None or every is not None or keep is not None:
            raise InvalidArgumentError("a server takes one snapshot at a time, into its own folder: give a name only")
        told = self._ask(
            "snapshot",
            unlimited=True,
            name=os.fspath(path),
            compression=compression,
            row_group_rows=row_group_rows,
            data_page_bytes=data_page_bytes,
            byte_stream_split=byte_stream_split,
        )
        return SnapshotMetadata(
            CollectionConfig.from_dict(told["config"]),
            pa.ipc.read_schema(pa.py_buffer(told["schema"])),
            told["rows"],
            told["created_at"],
            {name: FileEntry(**file) for name, file in told["files"].items()},
        )

    def graph_report(self) -> NoReturn:
        """InvalidArgumentError: graphs are not sent; open the directory, beside the server, with read_only=True."""
        raise InvalidArgumentError("graph_report() needs the directory: connect to the path, with read_only=True")

    def plot(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        color: str | None = None,
        sample: int = 2000,
        k: int = 10,
        queries: int = 100,
    ) -> NoReturn:
        """InvalidArgumentError: graphs are not sent; open the directory, beside the server, with read_only=True."""
        raise InvalidArgumentError("plot() needs the directory: connect to the path, with read_only=True")

    def close(self, wait: bool = True) -> None:
        """Let go. The server keeps its collection open."""
        self._closed = True

    def _writable(self) -> Connection:
        if self._read_only:
            raise ReadOnlyError("the server was connected to with read_only=True; connect without to write")
        return self._connection
