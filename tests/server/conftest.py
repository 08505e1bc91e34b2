"""Server fixtures: a server over a new library in this process, and a client of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

import nearrow
from nearrow.server.running import Server
from nearrow.server.settings import ServerSettings

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # benchmarks/ is a folder of the project


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """An empty library, served on a free port of this machine."""
    settings = ServerSettings(str(tmp_path / "library"), port=0, snapshots=tmp_path / "snapshots", drain_seconds=5)
    with Server(settings) as running:
        yield running


@pytest.fixture
def remote(server: Server) -> Iterator[nearrow.Database]:
    """A client of that server."""
    with nearrow.connect(server.location, deadline_seconds=20) as db:
        yield db


@pytest.fixture
def words(remote: nearrow.Database, wordnet_small: pa.Table) -> nearrow.Collection:
    """300 WordNet rows behind the server."""
    collection = remote.create_collection("words", dimension=384, text_fields=["text"])
    collection.add(wordnet_small.slice(0, 300))
    return collection
