"""Budget: do building, merging and importing keep within the memory that they are given?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nearrow
from nearrow import AlreadyExistsError, InvalidArgumentError
from nearrow.collection import Collection
from nearrow.schema import CollectionConfig
from nearrow.storage.memory import MemoryDirectory
from nearrow.testing.inline_background import InlineBackground
from nearrow.write.budget import BYTES_MIN, MemoryBudget
from nearrow.write.open import create, open_writer

CONFIG = CollectionConfig("docs", 384)


class SmallBudget(MemoryBudget):
    """One in which a segment holds 100 rows."""

    def segment_rows_max(self, config: CollectionConfig) -> int:
        return 100


def open_small() -> Collection:
    directory = MemoryDirectory()
    create(directory, CollectionConfig("docs", 2, metric="l2", memtable_rows=8, graph_rows_min=16))
    return Collection(open_writer(directory, background=InlineBackground, budget=SmallBudget(BYTES_MIN)))


def rows(numbers: Any, **columns: Any) -> list[dict[str, Any]]:
    return [{"id": f"id-{n}", "vector": [float(n), 1.0], **columns} for n in numbers]


@pytest.mark.parametrize("given", [0, -1, 1 << 20, True, 1.5, "512MB"])
def test_budget_that_is_none_is_refused(tmp_path: Path, given: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="memory_budget"):
        nearrow.connect(tmp_path / "library", memory_budget=given)
    assert not (tmp_path / "library").exists()


def test_half_of_the_machine_is_taken_unless_something_is_said() -> None:
    assert MemoryBudget.of(None).bytes >= BYTES_MIN
    assert MemoryBudget.of(1 << 30).segment_rows_max(CONFIG) > 2 * MemoryBudget.of(1 << 28).segment_rows_max(CONFIG)
    assert MemoryBudget.of(BYTES_MIN).memtable_bytes(CONFIG) * 4 <= BYTES_MIN // 8
    assert MemoryBudget.of(1 << 40).memtable_bytes(CONFIG) == CONFIG.memtable_bytes


def test_bulk_load_becomes_several_segments_in_one_commit() -> None:
    docs = open_small()
    assert docs.add(rows(range(250))) == 250
    assert sorted(segment.rows for segment in docs.stats().segments) == [50, 100, 100]
    assert docs.search([249.0, 1.0], k=1).ids.tolist() == ["id-249"]
    docs.compact()
    assert max(segment.rows for segment in docs.stats().segments) <= 100, "no merge makes a larger one"
    assert docs.count() == 250


def test_last_row_of_an_id_wins_across_the_segments_of_one_upsert() -> None:
    docs = open_small()
    docs.upsert(rows(range(20), turn=0))
    numbers = [*range(150), *range(100, 250), *range(5)]
    turns = [{**row, "turn": place} for place, row in enumerate(rows(numbers), 1)]
    docs.upsert(turns)
    last = {row["id"]: row["turn"] for row in turns}
    found = docs.to_arrow().select(["id", "turn"]).to_pylist()
    assert {row["id"]: row["turn"] for row in found} == last
    assert len(found) == len(last) == docs.count() == 250


def test_id_that_stands_in_two_segments_of_one_add_is_refused() -> None:
    docs = open_small()
    with pytest.raises(AlreadyExistsError, match="'id-3'"):
        docs.add(rows([*range(150), 3]))
    assert (docs.count(), docs.stats().segments) == (0, ())


IMPORT = """
import sys, threading, time
import numpy as np, pyarrow as pa, nearrow

def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))

def batches(turn):
    random = np.random.default_rng(turn)
    for start in range(0, ROWS, 512):
        vectors = random.standard_normal((512, 2048), dtype=np.float32)
        rows = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 2048)
        ids = pa.array(np.arange(start, start + 512) + turn * ROWS // 2)
        yield pa.RecordBatch.from_arrays([ids, rows], names=["id", "vector"])

ROWS, BUDGET, TURNS = 8192, 64 << 20, 2
peak, done = 0, False

def watch():
    global peak
    while not done:
        peak = max(peak, anonymous())
        time.sleep(0.002)

with nearrow.connect(sys.argv[1], memory_budget=BUDGET) as database:
    docs = database.create_collection("docs", 2048, graph_rows_min=100_000)
    docs.add(ids=[-1], vectors=np.ones((1, 2048), np.float32))
    docs.delete([-1])
    before = anonymous()
    watcher = threading.Thread(target=watch)
    watcher.start()
    for turn in range(TURNS):
        docs.upsert(pa.RecordBatchReader.from_batches(next(batches(turn)).schema, batches(turn)))
        docs.wait()
    docs.compact()
    done = True
    watcher.join()
    print(docs.count(), len(docs.stats().segments), peak - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only /proc tells anonymous memory")
def test_import_and_compaction_keep_within_the_budget(tmp_path: Path) -> None:
    """12,288 rows of 2,048 dimensions are 101 MB of vectors; no graph is built, as that takes long on a busy machine."""
    run = [sys.executable, "-c", IMPORT, str(tmp_path)]
    result = subprocess.run(run, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    count, segments, peak = map(int, result.stdout.split())
    assert count == 8192 * 3 // 2
    assert segments == 1
    assert peak <= 64 << 20, f"{peak / 2**20:.0f} MiB of anonymous memory"


def test_answer_does_not_depend_on_the_budget(wordnet_vectors: np.ndarray, wordnet_queries: np.ndarray) -> None:
    docs = nearrow.connect(":memory:").create_collection("docs", 384, memtable_rows=8)
    directory = MemoryDirectory()
    create(directory, CollectionConfig("docs", 384, memtable_rows=8))
    small = Collection(open_writer(directory, background=InlineBackground, budget=SmallBudget(BYTES_MIN)))
    for one in (docs, small):
        one.add(ids=np.arange(len(wordnet_vectors)), vectors=wordnet_vectors)
    for query in wordnet_queries[:20]:
        assert small.search(query, exact=True).ids.tolist() == docs.search(query, exact=True).ids.tolist()
