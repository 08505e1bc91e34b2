"""Backend: what do the calls of a server share?"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nearrow.collection import Collection
from nearrow.database import Database
from nearrow.errors import InvalidArgumentError
from nearrow.schema import validate_name
from nearrow.server.gate import Gate
from nearrow.server.ledger import Ledger
from nearrow.server.limits import Limits
from nearrow.server.sql import SqlProcesses

slow_logger = logging.getLogger("nearrow.server.slow")


@dataclass(frozen=True)
class Backend:
    """The database and what guards it. snapshots: the one folder that snapshots are taken to and restored from."""

    database: Database
    limits: Limits
    gate: Gate
    sql: SqlProcesses
    snapshots: Path | None = None
    slow_ms: float = 100.0
    ledger: Ledger = field(default_factory=Ledger)
    began: float = field(default_factory=time.monotonic)

    def collection(self, name: object) -> Collection:
        if not isinstance(name, str):
            raise InvalidArgumentError(f"collection is the name of one, not {name!r:.60}")
        return self.database.collection(name)

    def snapshot_path(self, name: object) -> Path:
        """Where the snapshot of this name lies. A client names it and never says where: names have no slashes."""
        if self.snapshots is None:
            raise InvalidArgumentError("this server keeps no snapshots; start it with --snapshots DIRECTORY")
        if not isinstance(name, str):
            raise InvalidArgumentError(f"the name of a snapshot is text, not {name!r:.60}")
        return self.snapshots / validate_name(name, "snapshot name")

    @contextmanager
    def timed(self, kind: str, about: Mapping[str, Any]) -> Iterator[None]:
        """Log the question if it is slow."""
        began = time.perf_counter()
        yield
        self.note_slow(kind, began, about)

    def note_slow(self, kind: str, began: float, about: Mapping[str, Any]) -> None:
        """The same for one that began at this `perf_counter()`. Vectors are not shown: they are long, may be private."""
        ms = 1000 * (time.perf_counter() - began)
        if ms >= self.slow_ms:
            shown = {
                name: value if isinstance(value, (int, float, bool)) else f"{value!s:.500}"
                for name, value in about.items()
            }
            slow_logger.warning("slow", extra={"fields": {"kind": kind, "ms": round(ms, 3), **shown}})


def refuse_models(settings: Mapping[str, Any]) -> None:
    """InvalidArgumentError if a client would have the server load a model."""
    if settings.get("embedding") is not None:
        raise InvalidArgumentError("a server embeds nothing: call the model in the client, and send vectors")
