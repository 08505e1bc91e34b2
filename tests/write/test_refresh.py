"""Refresh: does a reader read only what came since?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import nearrow
from nearrow.write import record


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where each record came from that was decoded."""
    places: list[str] = []
    decode = record.Decoder.decode

    def counted(self: record.Decoder, payload: Any, where: str) -> record.Change:
        places.append(where)
        return decode(self, payload, where)

    monkeypatch.setattr(record.Decoder, "decode", counted)
    return places


def test_refresh_replays_only_the_new_tail_of_the_log(tmp_path: Path, decoded: list[str]) -> None:
    with nearrow.connect(tmp_path) as database, nearrow.connect(tmp_path, read_only=True) as reading:
        docs = database.create_collection("docs", 2, metric="l2", durability="off")
        for number in range(500):
            docs.upsert(ids=[number], vectors=[[float(number), 1.0]])
        store: Any = docs._store
        store.core.sync()
        seen = reading.collection("docs")
        assert len(decoded) == 500
        for number in range(500, 503):
            docs.upsert(ids=[number], vectors=[[float(number), 1.0]])
        store.core.sync()
        seen.refresh()
        assert (len(decoded), len(seen)) == (503, 503)
        seen.refresh()
        assert len(decoded) == 503, "nothing new, nothing read"


def test_refresh_over_a_seal_keeps_the_segments_that_are_open(tmp_path: Path) -> None:
    with nearrow.connect(tmp_path) as database, nearrow.connect(tmp_path, read_only=True) as reading:
        docs = database.create_collection("docs", 2, metric="l2")
        docs.add(ids=list(range(100)), vectors=[[float(n), 1.0] for n in range(100)])
        docs.flush()
        seen = reading.collection("docs")
        store: Any = seen._store
        (before,) = store.view.parts
        docs.upsert(ids=[1000], vectors=[[5.0, 5.0]])
        docs.flush()
        seen.refresh()
        assert len(seen) == 101
        assert store.view.parts[0].segment is before.segment, "mapped once"
