"""Running: how does a server begin, and how does it end in order?

SIGTERM → /readyz says 503, new calls are refused → those under way end (at most `drain_seconds`) → what was written
is synced, collections close → the process ends
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from nearrow.database import connect
from nearrow.errors import StorageError
from nearrow.metrics import prometheus
from nearrow.server.backend import Backend
from nearrow.server.gate import Gate
from nearrow.server.http import HttpEndpoints
from nearrow.server.measuring import CallMetrics
from nearrow.server.service import Service, TransportSecurity
from nearrow.server.settings import ServerSettings
from nearrow.server.sql import SqlProcesses
from nearrow.server.transport import shortest_way

logger = logging.getLogger("nearrow.server")

SHUTDOWN_SECONDS = 2.0
"""How long idle streams may take to notice that the server has gone."""
SWITCH_SECONDS = 0.0005
"""How long a handler may keep others from running Python: a tenth of Python's default, for short answers."""


class Server:
    """A server over one library; serves as soon as it is made. A context manager: leaving it closes it."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self._metrics = CallMetrics()
        self.database = connect(settings.library, read_only=settings.read_only)
        try:
            self.gate = Gate(settings.limits.calls, settings.limits.memory_bytes)
            snapshots = None if settings.snapshots is None else Path(settings.snapshots)
            if snapshots is not None:
                snapshots.mkdir(parents=True, exist_ok=True)
            self._sql = SqlProcesses(settings.library)
            backend = Backend(self.database, settings.limits, self.gate, self._sql, snapshots, settings.slow_ms)
            self._service = self._serve(backend)
            self._http = self._serve_http()
        except BaseException:
            self.database.close()
            raise
        logger.info("serving", extra={"fields": {"location": self.location, "http_port": self.http_port}})

    def _serve(self, backend: Backend) -> Service:
        settings = self.settings
        location = f"{settings.scheme}://{settings.host}:{settings.port}"
        try:
            with shortest_way():
                return Service(location, backend, settings.tokens, _security(settings), self._metrics.observe)
        except (OSError, RuntimeError, ValueError) as error:  # what pyarrow raises when the port is taken
            raise StorageError(f"cannot serve at {location}: {error}; is another server running there?") from None

    def _serve_http(self) -> HttpEndpoints | None:
        settings = self.settings
        if settings.http_port is None:
            return None
        try:
            return HttpEndpoints(
                settings.http_host,
                settings.http_port,
                self.gate,
                settings.tokens,
                lambda: prometheus() + self._metrics.text(self.gate),
            )
        except OSError as error:
            self._service.shutdown()
            raise StorageError(f"cannot serve HTTP at {settings.http_host}:{settings.http_port}: {error}") from None

    @property
    def port(self) -> int:
        return int(self._service.port)

    @property
    def http_port(self) -> int | None:
        return None if self._http is None else self._http.port

    @property
    def location(self) -> str:
        """What clients connect to."""
        return f"{self.settings.scheme}://{self.settings.host}:{self.port}"

    def close(self) -> bool:
        """Drain, sync, close. Returns whether every call and stream has ended; those that have not are cut off."""
        drained = self.gate.drain(self.settings.drain_seconds)
        if not drained:
            logger.warning("calls under way are cut off", extra={"fields": {"busy": self.gate.busy}})
        for collection in list(self.database._open.values()):
            collection.close(wait=False)  # everything is synced; graphs that are not ready are built at the next start
        self.database.close()
        self._sql.close()
        # shutdown() waits for streams that nobody writes to any more, without an end: so not in this thread
        ending = threading.Thread(target=self._service.shutdown, name="nearrow-shutdown", daemon=True)
        ending.start()
        ending.join(SHUTDOWN_SECONDS)
        if self._http is not None:
            self._http.close()
        logger.info("stopped", extra={"fields": {"drained": drained}})
        return drained and not ending.is_alive()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serve_until_signal(settings: ServerSettings, announce: Callable[[Server], None]) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. `announce` is told when calls are taken."""
    asked_to_stop = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        asked_to_stop.set()  # nothing else: a signal handler may run inside any lock

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    sys.setswitchinterval(SWITCH_SECONDS)
    server = Server(settings)
    announce(server)
    while not asked_to_stop.wait(3600):
        continue
    if not server.close():
        # streams are left whose clients are silent; all rows are synced, and nothing of use would come of waiting
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)
    return 0


def _security(settings: ServerSettings) -> TransportSecurity | None:
    if settings.certificate is None or settings.key is None:
        return None
    client_ca = None if settings.client_ca is None else Path(settings.client_ca).read_bytes()
    return TransportSecurity(Path(settings.certificate).read_bytes(), Path(settings.key).read_bytes(), client_ca)
