"""Session: how does the coordinator start, ask and stop the processes of the engines?"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.data import cache_folder
from benchmarks.engines import entry

ROOT = Path(__file__).resolve().parents[1]


class EngineError(Exception):
    """The engine's process died, ran out of time or raised; the message is what goes into the results."""


def peers_python(given: str | None = None) -> str:
    """The interpreter with the peers: given, NEARROW_BENCH_PYTHON, or .venv-bench."""
    return given or os.environ.get("NEARROW_BENCH_PYTHON") or str(ROOT / ".venv-bench" / "bin" / "python")


class Session:
    """One engine's process. `ask` sends a command and waits for its answer, at most `timeout` seconds."""

    def __init__(self, engine: str, dataset: str, folder: Path, python: str, *, timeout: float) -> None:
        self.engine = engine
        interpreter = sys.executable if entry(engine).ours else python
        logs = cache_folder() / "logs"
        logs.mkdir(exist_ok=True)
        self.log = logs / f"{dataset}-{engine}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [interpreter, "-m", "benchmarks.worker", engine, dataset, str(folder)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT,
            )  # fmt: skip
        try:
            self._answer(timeout)
        except EngineError:
            self.close()
            raise

    def ask(self, do: str, *, timeout: float, **arguments: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise EngineError(self._death()) from error
        return self._answer(timeout)

    def _answer(self, timeout: float) -> dict[str, Any]:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout):
                self.close()
                raise EngineError(
                    f"over {timeout / 60:.0f} minutes" if timeout >= 60 else f"over {timeout:.0f} seconds"
                )
        line = self.process.stdout.readline()
        if not line:
            raise EngineError(self._death())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise EngineError(answer["error"])
        return answer

    def _death(self) -> str:
        code = self.process.wait()
        said = self.log.read_text(errors="replace").strip().splitlines()
        return f"process ended with {code}: {said[-1] if said else 'it said nothing'}"

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        deadline = time.monotonic() + 5
        while self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
