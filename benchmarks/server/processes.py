"""Processes: how are the server, its bare peer and the clients started, each in a process of its own, and ended?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.server.measures import Told

NOTHING: Mapping[str, str] = {}


@dataclass
class Running:
    """A server in a process of its own."""

    location: str
    process: subprocess.Popen[str]

    def kill(self) -> None:
        """As kill -9 does."""
        self.process.kill()
        self.process.wait()


def start_server(library: Path, *, port: int = 0, options: Sequence[str] = ()) -> Running:
    """`nearrow serve` over a library; it takes calls when this returns."""
    command = [sys.executable, "-m", "nearrow.cli", "serve", str(library), "--port", str(port), "--json"]
    return _started([*command, "--log-level", "error", *options])


def start_bare(table: Path, environment: Mapping[str, str] = NOTHING) -> Running:
    """A pyarrow Flight server that does nothing but what the transport costs; see `benchmarks.server.bare`."""
    return _started([sys.executable, "-m", "benchmarks.server.bare", str(table)], environment)


def _started(command: Sequence[str], environment: Mapping[str, str] = NOTHING) -> Running:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
    assert process.stdout is not None
    told = ""
    for line in process.stdout:
        told += line
        if line.rstrip() == "}":
            return Running(json.loads(told)["location"], process)
    raise RuntimeError(f"{command} ended with code {process.wait()} before it served: {told}")


@contextmanager
def stopping(running: Running) -> Iterator[Running]:
    """The server, ended in order at the end of the block."""
    try:
        yield running
    finally:
        running.process.terminate()
        try:
            running.process.wait(30)
        except subprocess.TimeoutExpired:
            running.kill()


@contextmanager
def asking_elsewhere(
    server: Running, collection: str, environment: Mapping[str, str]
) -> Iterator[Callable[[int], Told]]:
    """A client in a process of its own that asks the question of this number, and tells how long it took."""
    command = [sys.executable, "-m", "benchmarks.server.asking", server.location, collection, "0"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env={**os.environ, **environment}, **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        lines, answers = process.stdin, process.stdout
        if answers.readline() != "ready\n":
            raise RuntimeError(f"the client ended with code {process.wait()} before it asked")

        def ask(number: int) -> Told:
            lines.write(f"{number}\n")
            lines.flush()
            return Told(answers.readline())

        yield ask


def run_clients(module: str, arguments: Sequence[str], count: int) -> list[dict[str, Any]]:
    """What `count` client processes print as JSON, all started at once."""
    command = [sys.executable, "-m", module, *arguments]
    clients = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    found = []
    for client in clients:
        told, _ = client.communicate()
        if client.returncode != 0:
            raise RuntimeError(f"a client of {module} ended with code {client.returncode}")
        found.append(json.loads(told))
    return found
