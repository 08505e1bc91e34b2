"""HTTP: how do monitors ask a server how it is?

/healthz  200 while the process lives         /readyz  200 while it takes calls, 503 when it is about to stop
/metrics  Prometheus text; needs a token if the server has any
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from nearrow.errors import AccessDeniedError
from nearrow.server.auth import Tokens
from nearrow.server.gate import Gate

TIMEOUT_SECONDS = 10.0
PLAIN = "text/plain; charset=utf-8"
METRICS = "text/plain; version=0.0.4; charset=utf-8"


class HttpEndpoints:
    """A small HTTP server in threads of its own; serves as soon as it is made."""

    def __init__(self, host: str, port: int, gate: Gate, tokens: Tokens, metrics: Callable[[], str]) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = TIMEOUT_SECONDS  # a client that says nothing does not keep its thread

            def do_GET(self) -> None:  # the name that http.server looks for
                status, kind, body = answer(
                    self.path, self.headers.get_all("authorization") or [], gate, tokens, metrics
                )
                data = body.encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *arguments: Any) -> None:
                """Monitors ask every few seconds; that is not worth a line."""

        self._server = ThreadingHTTPServer((host.strip("[]"), port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="nearrow-http", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def answer(
    path: str, authorization: list[str], gate: Gate, tokens: Tokens, metrics: Callable[[], str]
) -> tuple[int, str, str]:
    """(status, content type, body) of a GET."""
    path = path.partition("?")[0]
    if path == "/healthz":
        return 200, PLAIN, "ok\n"
    if path == "/readyz":
        return (503, PLAIN, "about to stop\n") if gate.draining else (200, PLAIN, "ready\n")
    if path != "/metrics":
        return 404, PLAIN, "there are /healthz, /readyz and /metrics\n"
    try:
        tokens.principal(authorization)
    except AccessDeniedError as refusal:
        return 401, PLAIN, f"{refusal}\n"
    return 200, METRICS, metrics()
