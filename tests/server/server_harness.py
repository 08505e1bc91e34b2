"""Harness: the model's collection, behind a server."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import nearrow
from nearrow.collection import Collection
from nearrow.schema import CollectionConfig
from nearrow.server.running import Server
from nearrow.server.settings import ServerSettings
from nearrow.testing.fault_directory import PowerCut
from nearrow.testing.model_harness import abandon
from nearrow.testing.remains import leave_copy


class ServerHarness:
    """A collection that is only touched through Arrow Flight. Its reader opens the directory beside the server.

    A kill goes on with a new server over a copy of the directory, taken while the old one has it open.
    """

    def __init__(self) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="nearrow-served-"))
        self._lives = 0
        self._start()

    @property
    def _library(self) -> Path:
        return self._root / str(self._lives)

    def _start(self) -> None:
        self._server = Server(ServerSettings(str(self._library), port=0, drain_seconds=5))
        self._client = nearrow.connect(self._server.location, deadline_seconds=20)

    def create(self, config: CollectionConfig) -> Collection:
        settings = config.to_dict()
        return self._client.create_collection(settings.pop("name"), settings.pop("dimension"), **settings)

    def reopen(self, collection: Collection) -> Collection:
        self._stop()
        self._start()
        return self._client.collection(collection.name)

    def kill(self, collection: Collection, seed: int) -> Collection:
        abandon(self._server.database.collection(collection.name))
        old, self._lives = self._library, self._lives + 1
        leave_copy(old, self._library)
        self._server.database._open.clear()  # nothing of the dead is closed in order
        self._stop()
        shutil.rmtree(old, ignore_errors=True)  # tantivy may still write there; close() takes what is left
        self._start()
        return self._client.collection(collection.name)

    def reader(self) -> Collection:
        return nearrow.connect(self._library, read_only=True).collection("model")

    def arm(self, fail_at: int, error: int | type[PowerCut]) -> bool:
        return False

    def disarm(self) -> bool:
        return False

    def _stop(self) -> None:
        self._client.close()
        self._server.close()

    def close(self) -> None:
        self._stop()
        shutil.rmtree(self._root, ignore_errors=True)
