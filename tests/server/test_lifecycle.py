"""Lifecycle: does a server process begin, answer monitors, survive a kill -9, and end in order?"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.server.chaos import free_port, run
from benchmarks.server.processes import Running, start_server

import nearrow

VECTORS = np.eye(4, dtype=np.float32)


def fetch(port: int, path: str, token: str | None = None) -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def end(server: Running, number: signal.Signals = signal.SIGTERM) -> int:
    server.process.send_signal(number)
    return server.process.wait(60)


def test_terminated_server_ends_in_order_and_loses_nothing(tmp_path: Path) -> None:
    server = start_server(tmp_path / "library", options=["--drain-seconds", "10"])
    with nearrow.connect(server.location, deadline_seconds=1) as db:
        docs = db.create_collection("docs", dimension=4, durability="off")
        docs.add(ids=[1, 2, 3, 4], vectors=VECTORS)
        docs.search(VECTORS[0])  # leaves a stream open
        assert end(server) == 0
        with pytest.raises(nearrow.UnavailableError):
            docs.count()
    with nearrow.connect(tmp_path / "library") as db:
        assert len(db.collection("docs")) == 4
        assert db.collection("docs").check().ok


def test_client_goes_on_when_a_killed_server_is_back(tmp_path: Path) -> None:
    port = free_port()
    server = start_server(tmp_path / "library", port=port)
    with nearrow.connect(server.location) as db:
        docs = db.create_collection("docs", dimension=4)
        docs.add(ids=[1, 2], vectors=VECTORS[:2])
        for columns in (None, []):  # the two forms of a DoExchange
            docs.search(VECTORS[0], columns=columns)
        server.kill()
        server = start_server(tmp_path / "library", port=port)
        for columns in ([], None):
            assert docs.search(VECTORS[0], k=1, columns=columns).ids.tolist() == [1]
        docs.add(ids=[3], vectors=VECTORS[2:3])
        assert len(docs) == 3
        assert end(server, signal.SIGINT) == 0


def test_monitors_get_health_readiness_and_metrics(tmp_path: Path) -> None:
    token = "admin-secret-xxxxxxxxxxxx"
    (tmp_path / "tokens").write_text(f"admin {token} me\n")
    command = [sys.executable, "-m", "nearrow.cli", "serve", str(tmp_path / "library"), "--json", "--port", "0"]
    options = ["--http-port", "0", "--tokens", str(tmp_path / "tokens"), "--slow-ms", "0"]
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told: dict[str, Any] = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")
    with nearrow.connect(told["location"], token=token) as db:
        docs = db.create_collection("docs", dimension=4)
        docs.add(ids=[1, 2], vectors=VECTORS[:2])
        docs.search(VECTORS[0])
    assert fetch(told["http_port"], "/healthz") == (200, "ok\n")
    assert fetch(told["http_port"], "/readyz") == (200, "ready\n")
    assert fetch(told["http_port"], "/secrets")[0] == 404
    assert fetch(told["http_port"], "/metrics")[0] == 401
    status, metrics = fetch(told["http_port"], "/metrics", token)
    assert status == 200
    assert 'nearrow_server_call_seconds_count{call="do_put"} 1' in metrics
    assert 'collection="docs"' in metrics
    process.terminate()
    _, log = process.communicate(timeout=60)
    lines = [json.loads(line) for line in log.splitlines()]
    assert {"serving", "call", "slow", "stopped"} <= {line["event"] for line in lines}
    slow = next(line for line in lines if line["event"] == "slow")
    assert (slow["kind"], slow["collection"]) == ("search", "docs")
    assert token not in log


def test_acknowledged_writes_survive_a_kill_under_many_clients() -> None:
    outcome = run(seconds=8, count=12, processes=2)
    assert outcome.errors == []
    assert (outcome.lost, outcome.too_many, outcome.torn) == (0, 0, 0)
    assert outcome.acknowledged > outcome.after_kill > 0
    assert outcome.rows > 0
