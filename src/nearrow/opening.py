"""Opening: where is the library, in a directory or behind a server, and what is a handle of it in another process?"""

from __future__ import annotations

import copyreg
import os
from typing import Any, cast

from nearrow import database
from nearrow.collection import Collection
from nearrow.database import Database
from nearrow.errors import InvalidArgumentError

TOKEN_VARIABLE = "NEARROW_TOKEN"
CA_VARIABLE = "NEARROW_CA_CERTIFICATE"
SCHEMES = ("grpc://", "grpc+tls://")


def connect(
    path: str | os.PathLike[str],
    *,
    read_only: bool = False,
    memory_budget: int | None = None,
    token: str | None = None,
    deadline_seconds: float = 60.0,
    ca_certificate: str | os.PathLike[str] | None = None,
    client_certificate: str | os.PathLike[str] | None = None,
    client_key: str | os.PathLike[str] | None = None,
) -> Database:
    """Open a directory of collections; it is made if it is missing. ":memory:" keeps nothing. Or connect to a server.

    read_only: any number of processes may read beside the one that writes; they see what is durable (`refresh()`).
    memory_budget: bytes of memory that building, merging and importing may take in one collection; default: half of
    what the machine has (docs/guide/upkeep.md).
    Raises NotFoundError if there is nothing to read, StorageError if the directory cannot be used.

    path "grpc://host:port" or "grpc+tls://host:port": a server (`nearrow serve`); what comes back has the same verbs.
    token: what the server knows you by; default: the variable NEARROW_TOKEN. deadline_seconds: how long one call may
    take, attempts after a lost connection included. ca_certificate: a PEM file, for a server whose certificate the
    system does not know; default: NEARROW_CA_CERTIFICATE. client_certificate, client_key: PEM files, for mTLS.
    The server is asked at the first call, which raises UnavailableError or AccessDeniedError.
    """
    if not str(path).startswith(SCHEMES):
        if isinstance(path, str) and "://" in path:
            raise InvalidArgumentError(f"{path!r} is neither a directory nor an address like grpc://host:port")
        if token is not None or ca_certificate is not None or client_certificate is not None or client_key is not None:
            raise InvalidArgumentError("a token or a certificate is for a server; a directory needs none")
        return database.connect(path, read_only=read_only, memory_budget=memory_budget)
    if memory_budget is not None:
        raise InvalidArgumentError("memory_budget is for a directory; a server is given its own when it is started")
    from nearrow.server.client.connection import ConnectionOptions  # here, as pyarrow.flight takes a while to import
    from nearrow.server.client.database import RemoteDatabase

    options = ConnectionOptions(
        token or os.environ.get(TOKEN_VARIABLE),
        deadline_seconds,
        ca_certificate or os.environ.get(CA_VARIABLE),
        client_certificate,
        client_key,
    )
    remote = RemoteDatabase(str(path), options, read_only=read_only)
    return cast(Database, remote)  # the same verbs: tests/server/test_same_verbs.py compares them


def _read_elsewhere(path: str) -> Database:
    """What a pickled database is in the process that unpickles it."""
    return database.connect(path, read_only=True)


def _read_collection_elsewhere(path: str, name: str) -> Collection:
    return database.connect(path, read_only=True).collection(name)


def _pickled_database(handle: Database) -> tuple[Any, tuple[str]]:
    return _read_elsewhere, (_sendable(handle.path),)


def _pickled_collection(collection: Collection) -> tuple[Any, tuple[str, str]]:
    return _read_collection_elsewhere, (_sendable(collection._library), collection.name)


def _sendable(path: str) -> str:
    if not path or path == database.MEMORY:
        raise InvalidArgumentError("what is in memory only cannot be opened by another process; use a directory")
    return path


copyreg.pickle(Database, _pickled_database)
copyreg.pickle(Collection, _pickled_collection)
