"""Memory budget: does a collection keep within the memory that it is given, whatever it does?

    python -m benchmarks.memory_budget [--rows 1000000] [--budget-mib 256] [--folder DIRECTORY]

Imports rows of 128 dimensions from a mapped file, builds their graphs, searches, replaces a fifth of the rows, deletes a
tenth and compacts, and prints the highest anonymous memory (RssAnon) of each step beyond what the process had before.
Mapped files are not counted: the system takes such pages back when it needs them. Linux only.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import nearrow
from benchmarks.synthetic import manifold

DIMENSION = 128
BATCH_ROWS = 10_000
MIB = 1 << 20
LOOK_SECONDS = 0.002


def anonymous_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("the system does not tell a process's anonymous memory")


def write_rows(path: Path, rows: int) -> None:
    """The rows as an Arrow file; in a process of its own, so that its memory is not counted."""
    kind = pa.list_(pa.float32(), DIMENSION)
    schema = pa.schema({"id": pa.int64(), "vector": kind})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for number, start in enumerate(range(0, rows, BATCH_ROWS)):
            block = manifold(min(BATCH_ROWS, rows - start), DIMENSION, seed=7, stream=number)
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(block.ravel()), type=kind)
            ids = pa.array(np.arange(start, start + len(block)))
            writer.write_batch(pa.RecordBatch.from_arrays([ids, vectors], schema=schema))


class Watch:
    """The highest anonymous memory since the last `tell`, beyond what there was when it began."""

    def __init__(self) -> None:
        self._before = self._peak = anonymous_bytes()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._done.wait(LOOK_SECONDS):
            self._peak = max(self._peak, anonymous_bytes())

    def step(self, name: str, budget: int, work: Callable[[], Any]) -> Any:
        self._peak = anonymous_bytes()
        began = time.perf_counter()
        result = work()
        most, seconds = self._peak - self._before, time.perf_counter() - began
        print(f"{name}: {most / MIB:,.0f} MiB, {most / budget:.2f} of the budget ({seconds:,.0f} s)", flush=True)
        return result

    def end(self) -> None:
        self._done.set()
        self._thread.join()


def measure(folder: Path, data: Path, budget: int) -> None:
    file = pa.ipc.open_file(pa.memory_map(str(data)))
    batches = file.num_record_batches

    def reader(numbers: range) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(file.schema, (file.get_batch(number) for number in numbers))

    queries = manifold(1000, DIMENSION, seed=7, stream=1 << 20)
    with nearrow.connect(folder, memory_budget=budget) as database:
        docs = database.create_collection("docs", DIMENSION, metric="l2")
        docs.add(ids=[-1], vectors=queries[:1])  # what the first write loads is not the budget's
        docs.search(queries[0])
        watch = Watch()
        watch.step("import", budget, lambda: docs.add(reader(range(batches))))
        watch.step("graphs", budget, docs.wait)
        watch.step("1,000 searches", budget, lambda: [docs.search(query, k=10) for query in queries])
        watch.step("1,000 in one batch", budget, lambda: docs.search(queries, k=10))
        watch.step("a fifth replaced", budget, lambda: docs.upsert(reader(range(max(1, batches // 5)))))
        watch.step("its merges", budget, docs.wait)
        gone = file.get_batch(batches - 1).num_rows * max(1, batches // 10)
        watch.step("a tenth deleted", budget, lambda: docs.delete(list(range(gone))))
        watch.step("compaction", budget, docs.compact)
        watch.end()
        segments = docs.stats().segments
        print(
            f"{docs.count():,} rows in {len(segments)} segments, the largest of {max(s.rows for s in segments):,} rows"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--budget-mib", type=int, default=256)
    parser.add_argument("--folder", type=Path, help="where the files are made (default: a temporary folder)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        data = Path(folder) / "rows.arrow"
        child = multiprocessing.get_context("spawn").Process(target=write_rows, args=(data, asked.rows))
        child.start()
        child.join()
        if child.exitcode:
            raise SystemExit(child.exitcode)
        measure(Path(folder) / "library", data, asked.budget_mib * MIB)


if __name__ == "__main__":
    main()
