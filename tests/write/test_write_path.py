"""Write path: the traps that the campaigns found, each as its own story."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import nearrow
from nearrow.collection import Collection
from nearrow.errors import StorageError
from nearrow.schema import CollectionConfig
from nearrow.storage.gc import LEASE
from nearrow.storage.manifest import generations
from nearrow.storage.memory import MemoryDirectory
from nearrow.testing.fault_directory import FaultDirectory, PowerCut
from nearrow.testing.inline_background import open_inline
from nearrow.testing.model import read_rows
from nearrow.testing.model_harness import abandon
from nearrow.write import follower
from nearrow.write.follower import Follower
from nearrow.write.open import create, open_writer


def config(**settings: Any) -> CollectionConfig:
    return CollectionConfig("docs", 2, metric="l2", **{"memtable_rows": 8, "graph_rows_min": 8, **settings})


def rows(first: int, last: int, **columns: Any) -> list[dict[str, Any]]:
    return [{"id": f"id-{n}", "vector": [float(n), 1.0], **columns} for n in range(first, last)]


def new(directory: Any, **settings: Any) -> Collection:
    create(directory, config(**settings))
    return open_inline(directory)


def test_crash_between_dead_rows_and_their_manifest_does_not_stop_later_writes() -> None:
    directory = FaultDirectory()
    docs = new(directory)
    docs.upsert(rows(0, 20))  # a bulk segment
    docs.delete(["id-3"])
    before = len(generations(directory))
    directory.arm(1, PowerCut, kinds=["rename"])
    with pytest.raises(PowerCut):
        docs.upsert(rows(2, 30))  # its dead rows are written, its manifest is not
    abandon(docs)
    assert directory.fired
    after = directory.kill()
    docs = open_inline(after)
    docs.delete(["id-4"])
    docs.flush()
    docs.upsert(rows(100, 101))
    docs.flush()
    assert len(generations(after)) >= before


def test_schema_of_an_older_record_does_not_hide_a_column_that_came_by_bulk() -> None:
    directory = MemoryDirectory()
    docs = new(directory)
    docs.upsert(rows(0, 1))
    docs.upsert(rows(10, 40, year=7))  # a bulk segment, past the log
    docs.close()
    for store in (Follower(directory), open_writer(directory)):
        found = read_rows(Collection(store))
        assert found["id-10"]["year"] == 7
        assert len(found) == 31


def test_merge_of_segments_whose_rows_interleave_keeps_them_whole() -> None:
    docs = new(MemoryDirectory())
    stream = (pa.RecordBatch.from_pylist(rows(n, n + 5)) for n in range(0, 40, 5))

    def interleaved() -> Any:
        for number, batch in enumerate(stream):
            yield batch
            if number == 4:
                docs.upsert(rows(100, 103))  # numbered amid the stream's rows
                docs.flush()

    schema = pa.RecordBatch.from_pylist(rows(0, 1)).schema
    docs.add(pa.RecordBatchReader.from_batches(schema, interleaved()))
    docs.compact()
    assert set(read_rows(docs)) == {f"id-{n}" for n in [*range(40), 100, 101, 102]}


def test_flush_makes_deletes_durable_when_nothing_else_is_in_the_log() -> None:
    directory = FaultDirectory()
    docs = new(directory, durability="off")
    docs.upsert(rows(0, 20))
    docs.flush()
    docs.delete(["id-1", "id-2"])
    docs.flush()
    abandon(docs)
    for seed in range(5):
        assert len(read_rows(open_inline(directory.crash(seed)))) == 18


def test_log_of_deletes_alone_is_sealed_before_it_grows_long() -> None:
    docs = new(MemoryDirectory())
    docs.upsert(rows(0, 200))
    for number in range(100):
        docs.delete([f"id-{number}"])
    assert docs._store.core.unsealed_records <= 8  # type: ignore[union-attr]
    assert docs.count() == 100


def test_close_says_when_lazily_written_rows_cannot_be_made_durable() -> None:
    directory = FaultDirectory()
    docs = new(directory, durability="off")
    docs.upsert(rows(0, 2))
    directory.arm(1, kinds=["sync"])
    with pytest.raises(StorageError):
        docs.flush()
    with pytest.raises(StorageError):
        docs.close()


def test_reader_never_sees_a_record_without_the_bulk_load_that_came_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    directory = MemoryDirectory()
    docs = new(directory)
    docs.upsert(rows(0, 5))
    reader = Collection(Follower(directory))
    asked = [0]

    def generations_then_writes(of: Any) -> list[int]:
        found = generations(of)
        asked[0] += 1
        if asked[0] == 1:  # both come between the reader's look at the manifests and its look at the log
            docs.upsert(rows(0, 30, year=1))
            docs.delete(["id-0"])
        return found

    monkeypatch.setattr(follower, "generations", generations_then_writes)
    reader.refresh()
    assert asked[0] > 1
    assert read_rows(reader) == read_rows(docs)
    assert reader.count() == 29


def test_reader_that_comes_while_files_are_retired_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    directory = MemoryDirectory()
    new(directory).upsert(rows(0, 5))
    lease = directory.lock(LEASE, exclusive=True)
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            lease.release()

    monkeypatch.setattr(follower.time, "sleep", sleep)
    assert Collection(Follower(directory)).count() == 5
    assert len(waits) == 3


def test_damaged_graph_is_built_again(tmp_path: Path) -> None:
    with nearrow.connect(tmp_path) as database:
        docs = database.create_collection("docs", 2, metric="l2", memtable_rows=8, graph_rows_min=8)
        docs.upsert(rows(0, 40))
        docs.wait()
    (graph,) = tmp_path.rglob("graph.bin")
    damaged = bytearray(graph.read_bytes())
    damaged[100] ^= 0xFF
    graph.write_bytes(damaged)
    with nearrow.connect(tmp_path) as database:
        docs = database.collection("docs")
        docs.wait()
        assert docs.count() == 40
        assert [part.graph is not None for part in docs._view().parts] == [True]


def test_unexpected_failure_in_the_background_is_told_and_does_not_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **keywords: object) -> None:
        raise TypeError("a bug")

    monkeypatch.setattr("nearrow.write.background.build_graph", broken)
    with nearrow.connect(tmp_path) as database:
        docs = database.create_collection("docs", 2, metric="l2", memtable_rows=8, graph_rows_min=8)
        docs.upsert(rows(0, 20))
        with pytest.raises(StorageError, match="a bug"):
            docs.wait()
        assert docs.count() == 20


def test_commit_while_a_reader_looks_for_the_newest_manifest_is_no_corruption(monkeypatch: pytest.MonkeyPatch) -> None:
    directory = MemoryDirectory()
    docs = new(directory)
    docs.upsert(rows(0, 5))
    plain, busy = MemoryDirectory.watermark, [False]

    def watermark_beside_a_commit(self: MemoryDirectory, name: str) -> Any:
        if name.endswith("GENERATION") and not busy[0]:
            busy[0] = True
            docs.flush()
        return plain(self, name)

    monkeypatch.setattr(MemoryDirectory, "watermark", watermark_beside_a_commit)
    assert Collection(Follower(directory)).count() == 5
    assert busy[0]
