"""Living log: is a record that is just being written ever taken for damage?"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

import nearrow
from nearrow.storage import log_reader
from nearrow.storage.local import LocalDirectory
from nearrow.write.open import LOCK


def test_reader_to_whom_a_writer_seemed_gone_looks_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks for a writer in the moment between two, so it reads to the very end, where the new one writes by then."""
    with nearrow.connect(tmp_path) as database:
        docs = database.create_collection("docs", 2, metric="l2")
        docs.add(ids=["a"], vectors=[[1.0, 2.0]])
        asked: list[bool] = []
        seen_late: list[int] = []
        plain_locked, plain_used = LocalDirectory.locked, log_reader.used_bytes

        def locked(directory: LocalDirectory, name: str) -> bool:
            held = plain_locked(directory, name)
            if name == LOCK:
                asked.append(held)
            return held and not (name == LOCK and len(asked) == 1)

        def used_bytes(log: pa.Buffer, end: int) -> int:
            if not seen_late:
                for identifier in ("b", "c"):  # the second one's record says that the first is durable
                    docs.upsert(ids=[identifier], vectors=[[3.0, 4.0]])
            used = plain_used(log, end)
            seen_late.append(used)
            return used

        monkeypatch.setattr(LocalDirectory, "locked", locked)
        monkeypatch.setattr(log_reader, "used_bytes", used_bytes)
        with nearrow.connect(tmp_path, read_only=True) as reading:
            reader = reading.collection("docs")
            assert sorted(reader.to_arrow()["id"].to_pylist()) == ["a", "b", "c"]
        assert seen_late[0] > 0, "the reader did not meet the writer's records behind what it had read"
        assert asked[:2] == [True, True]
