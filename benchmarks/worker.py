"""Worker: one engine in one process, doing what the coordinator asks, one JSON line in, one JSON line out."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from benchmarks import workload
from benchmarks.data import Dataset, load
from benchmarks.engines import DATABASES, Condition, Engine, K, entry
from benchmarks.measure import folder_bytes, percentile_microseconds, pin, recall_by_distance, resident_bytes

PIECES = 20  # an incremental build looks at its time budget this often
WARM_UP = 50


class Worker:
    """Holds one engine and answers commands: each `do_…` method is one."""

    def __init__(self, engine: str, dataset: str, folder: Path) -> None:
        self.name, self.folder = engine, folder
        self.dataset: Dataset = load(dataset)
        self.is_database = engine in DATABASES
        self.engine: Engine = entry(engine).create()
        self.at_import = resident_bytes()
        self.texts: list[str] = []
        self.where_name: str | None = None

    def do_describe(self) -> dict[str, Any]:
        return {
            "version": version(self.engine.package),
            "beams": list(self.engine.beams),
            "parameters": self.engine.parameters,
        }

    def do_build(
        self, threads: int, cores: list[int], budget: float | None, done: int, spent: dict[str, float]
    ) -> dict[str, Any]:
        """Build the index; a build that overruns `budget` seconds is saved when it can be, to go on in another run."""
        pin(cores)
        rows, dimension = self.dataset.base.shape
        source = (
            workload.table(self.dataset) if self.is_database else np.array(self.dataset.base)
        )  # read before the clock starts
        clock = Clock(spent)
        if done:
            self.engine.open(self.folder, self.dataset.base, self.dataset.metric, threads)
        else:
            with clock:
                self.engine.start(self.folder, dimension, self.dataset.metric, rows, threads)
        step = max(1, rows // PIECES) if self.engine.incremental else rows
        while done < rows:
            with clock:
                self.engine.add(source[done : done + step], done)
            done = min(rows, done + step)
            if budget and clock.wall - spent.get("seconds", 0.0) > budget and done < rows:
                self.engine.save(self.folder)
                return {"finished": False, "done": done, **clock.figures()}
        ingest = clock.wall
        with clock:
            self.engine.finish()
        started = time.perf_counter()
        self.engine.save(self.folder)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return {
            "finished": True,
            **clock.figures(),
            "ingest_seconds": ingest,
            "save_seconds": time.perf_counter() - started,
            "peak_bytes": peak,
            "bytes_on_disk": folder_bytes(self.folder),
        }

    def do_open(self, cores: list[int], beam: Any) -> dict[str, Any]:
        """Open the saved index and ask one query; the page cache is warm, the imports are done."""
        pin(cores)
        query = self.dataset.queries[0]
        started = time.perf_counter()
        self.engine.open(self.folder, self.dataset.base, self.dataset.metric)
        opened = time.perf_counter()
        self.engine.set_beam(beam)
        self.engine.search(query)
        first = time.perf_counter()
        for query in self.dataset.queries[:WARM_UP]:
            self.engine.search(query)
        return {
            "open_seconds": opened - started,
            "first_search_seconds": first - opened,
            "at_import": self.at_import,
            "resident": resident_bytes(),
            "bytes_on_disk": folder_bytes(self.folder),
        }

    def do_resident(self) -> dict[str, Any]:
        return resident_bytes()

    def do_where(self, where: str | None) -> dict[str, Any]:
        self.where_name = where
        condition: Condition | None = None if where is None else workload.CONDITIONS[where]
        self.engine.set_where(condition)
        return {}

    def do_pass(
        self, cores: list[int], beam: Any, queries: list[int] | None, limit: float, recall: bool
    ) -> dict[str, Any]:
        """Ask the queries one by one, each timed; stops early after `limit` seconds."""
        pin(cores)
        self.engine.set_beam(beam)
        numbers = queries if queries is not None else list(range(len(self.dataset.queries)))
        vectors = list(self.dataset.queries[numbers])
        warm_until = time.perf_counter() + limit / 10
        for query in vectors[:WARM_UP]:
            self.engine.search(query)
            if time.perf_counter() > warm_until:
                break
        search, clock = self.engine.search, time.perf_counter
        found, ticks, processor = [], [clock()], time.process_time()
        until = ticks[0] + limit
        for query in vectors:
            found.append(search(query))
            ticks.append(clock())
            if ticks[-1] > until:
                break
        seconds = np.diff(ticks)
        answer = {
            "beam": beam,
            "queries": len(found),
            "core_share": (time.process_time() - processor) / (ticks[-1] - ticks[0]),
            "qps": len(found) / (ticks[-1] - ticks[0]),
            "p50_us": percentile_microseconds(seconds, 50),
            "p99_us": percentile_microseconds(seconds, 99),
        }
        if recall:
            answer |= self._quality(found, numbers[: len(found)])
        return answer

    def _quality(self, found: list[Any], numbers: list[int]) -> dict[str, Any]:
        _, distances = workload.truth(self.dataset, self.where_name)
        distances = distances[numbers]
        wanted = np.isfinite(distances[:, :K]).sum(axis=1)
        queries = self.dataset.queries[numbers]
        named = [np.asarray(rows, np.int64) for rows in found]
        return {
            "recall": recall_by_distance(named, self.dataset.base, queries, distances, self.dataset.metric, K),
            "short": int(sum(len(rows[rows >= 0]) < count for rows, count in zip(named, wanted, strict=True))),
        }

    def do_batch(self, cores: list[int], beam: Any, threads: int) -> dict[str, Any]:
        pin(cores)
        self.engine.set_beam(beam)
        queries = np.ascontiguousarray(self.dataset.queries)
        self.engine.batch(queries[:WARM_UP], threads)
        started = time.perf_counter()
        self.engine.batch(queries, threads)
        return {"qps": len(queries) / (time.perf_counter() - started)}

    def do_text(self, cores: list[int], beam: Any, mode: str, queries: int, limit: float) -> dict[str, Any]:
        """Rate of the words alone ("text"), or of vector and words together ("hybrid")."""
        pin(cores)
        self.engine.set_beam(beam)
        self.texts = self.texts or workload.query_texts()
        search = self.engine.search_hybrid if mode == "hybrid" else lambda vector, text: self.engine.search_text(text)
        asked = list(zip(self.dataset.queries[:queries], self.texts, strict=False))
        for vector, text in asked[:10]:
            search(vector, text)
        started, count = time.perf_counter(), 0
        for vector, text in asked:
            search(vector, text)
            count += 1
            if time.perf_counter() - started > limit:
                break
        return {"qps": count / (time.perf_counter() - started), "queries": count}

    def do_count(self, beam: Any) -> dict[str, Any]:
        """Means per query of what the engine's walk did, for engines that count."""
        self.engine.set_beam(beam)
        return self.engine.counters(np.ascontiguousarray(self.dataset.queries))

    def do_statistics(self) -> dict[str, Any]:
        return self.engine.statistics()


class Clock:
    """Sums wall and processor seconds over `with` blocks, on top of what earlier runs spent."""

    def __init__(self, spent: dict[str, float]) -> None:
        self.wall, self.processor = spent.get("seconds", 0.0), spent.get("cpu_seconds", 0.0)

    def __enter__(self) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        self.wall += time.perf_counter() - self._wall
        self.processor += time.process_time() - self._processor

    def figures(self) -> dict[str, float]:
        return {"seconds": self.wall, "cpu_seconds": self.processor}


def serve(worker: Worker, commands: TextIO, answers: TextIO) -> None:
    for line in commands:
        command = json.loads(line)
        try:
            answer = getattr(worker, "do_" + command.pop("do"))(**command)
        except Exception as error:  # whatever a peer raises is its result
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def die_with_parent() -> None:
    """A coordinator that is killed must not leave a build running (Linux; elsewhere the closed pipe ends it later)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def main() -> None:
    die_with_parent()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # some engines print: their words go to the log, not among the answers
    engine, dataset, folder = sys.argv[1:]
    try:
        worker = Worker(engine, dataset, Path(folder))
    except Exception as error:
        answers.write(json.dumps({"error": f"{type(error).__name__}: {error}"}) + "\n")
        return
    answers.write(json.dumps({"ready": True}) + "\n")
    answers.flush()
    serve(worker, sys.stdin, answers)


if __name__ == "__main__":
    main()
