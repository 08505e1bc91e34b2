"""Remote database: which collections does a server have?"""

from __future__ import annotations

import os
from contextlib import suppress
from types import TracebackType
from typing import Any

from nearrow.analytics.exchange.incoming import incoming
from nearrow.embedding.opening import new_config
from nearrow.errors import AccessDeniedError, InvalidArgumentError, ReadOnlyError
from nearrow.schema import CollectionConfig, validate_name
from nearrow.server.client.collection import RemoteCollection
from nearrow.server.client.connection import Connection, ConnectionOptions
from nearrow.server.client.models import refuse_model
from nearrow.server.client.reading import ask_sql
from nearrow.server.client.streams import Streams
from nearrow.server.wire.records import record_of
from nearrow.write.report import Repair, Report


class RemoteDatabase:
    """The collections of a server, with the verbs of `Database`. A context manager: leaving it closes the connection."""

    def __init__(self, location: str, options: ConnectionOptions, *, read_only: bool = False) -> None:
        self.path = location
        self.read_only = read_only
        self._connection = Connection(location, options)
        self._streams = Streams(self._connection)

    def create_collection(
        self, name: str, dimension: int | None = None, *, embedding: Any = None, **settings: Any
    ) -> RemoteCollection:
        """Like `Database.create_collection`, without `embedding`: the client embeds."""
        refuse_model(embedding)
        return self._create(name, dimension, settings, exist_ok=None)

    def collection(self, name: str, *, embedding: Any = None) -> RemoteCollection:
        """Open a collection. Raises NotFoundError."""
        refuse_model(embedding)
        return self._opened(self._connection.action("describe", collection=validate_name(name)))

    def get_or_create_collection(
        self, name: str, dimension: int | None = None, *, embedding: Any = None, **settings: Any
    ) -> RemoteCollection:
        """Like `Database.get_or_create_collection`, without `embedding`: the client embeds."""
        refuse_model(embedding)
        return self._create(name, dimension, settings, exist_ok=True)

    def _create(
        self, name: str, dimension: int | None, settings: dict[str, Any], *, exist_ok: bool | None
    ) -> RemoteCollection:
        config, _ = new_config(name, dimension, None, settings)
        self._check_writable()
        settings = {key: value for key, value in config.to_dict().items() if key not in ("name", "dimension")}
        made = self._connection.action(
            "create", collection=name, dimension=config.dimension, settings=settings, exist_ok=exist_ok
        )
        return self._opened(made)

    def collections(self) -> list[str]:
        """The names of the collections, sorted."""
        names: list[str] = self._connection.action("collections")
        return names

    def drop_collection(self, name: str) -> None:
        """Delete a collection and its files; needs a token with the role admin."""
        self._check_writable()
        self._connection.action("drop", collection=validate_name(name))

    def restore(
        self, path: str | os.PathLike[str], name: str | None = None, *, filesystem: Any = None
    ) -> RemoteCollection:
        """Like `Database.restore`; `path` is the name of a snapshot that the server has taken. Needs the role admin."""
        if filesystem is not None:
            raise InvalidArgumentError("a server restores from its own folder of snapshots: give a name only")
        self._check_writable()
        made = self._connection.action("restore", unlimited=True, name=os.fspath(path), collection=name)
        return self._opened(made)

    def adopt(
        self,
        source: Any,
        name: str,
        *,
        table: str | None = None,
        id_column: str | None = "id",
        vector_column: str | None = None,
        progress: bool = False,
        **settings: Any,
    ) -> RemoteCollection:
        """Like `Database.adopt`: `source` lies here, and its rows are sent."""
        self._check_writable()
        found = incoming(source, table, id_column, vector_column)
        chosen = {"metric": found.metric or "cosine", "text_fields": list(found.text_fields), **settings}
        adopted = self.create_collection(name, found.dimension, **chosen)
        try:
            adopted.add(found.rows, progress=progress)
        except BaseException:
            with suppress(AccessDeniedError):  # dropping needs a higher role; what stays is empty
                self.drop_collection(name)
            raise
        return adopted

    def check_collection(self, name: str) -> Report:
        """Like `Collection.check`, also of a collection that is too damaged to be opened."""
        return record_of(Report, self._connection.action("check", unlimited=True, collection=validate_name(name)))

    def repair_collection(self, name: str) -> Repair:
        """Like `Collection.repair`, also of a collection that is too damaged to be opened; needs the role admin."""
        self._check_writable()
        return record_of(Repair, self._connection.action("repair", unlimited=True, collection=validate_name(name)))

    def sql(self, query: str, parameters: Any = None, *, hits: Any = None, format: str = "arrow") -> Any:
        """Like `Database.sql`, one SELECT. hits= cannot be sent: give their ids as a parameter."""
        return ask_sql(self._connection, query, parameters, hits, format)

    def close(self) -> None:
        """Close the connection. Idempotent. The server goes on."""
        self._streams.close()
        self._connection.close()

    def __enter__(self) -> RemoteDatabase:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<RemoteDatabase {self.path!r}{' read-only' if self.read_only else ''}>"

    def _opened(self, config: dict[str, Any]) -> RemoteCollection:
        return RemoteCollection(self._connection, self._streams, CollectionConfig.from_dict(config), self.read_only)

    def _check_writable(self) -> None:
        self._connection.check_open()
        if self.read_only:
            raise ReadOnlyError("the server was connected to with read_only=True; connect without to write")
