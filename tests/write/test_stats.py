"""Stats: do the counts agree with the rows and the files?"""

from __future__ import annotations

import json
from pathlib import Path

from damage import folder, make

import nearrow


def test_stats_agree_with_rows_and_files(tmp_path: Path) -> None:
    make(tmp_path, text=True)
    with nearrow.connect(tmp_path) as db:
        docs = db.collection("docs")
        docs.wait()
        stats = docs.stats()
        assert (stats.live, stats.memtable_rows, stats.dimension, stats.metric) == (211, 3, 4, "l2")
        assert sum(segment.rows - segment.dead for segment in stats.segments) + stats.memtable_rows == stats.live
        assert stats.dead == sum(segment.dead for segment in stats.segments)
        assert any(segment.graph is not None and segment.graph["m"] == stats.m for segment in stats.segments)
        rows = sum(path.stat().st_size for path in folder(tmp_path).rglob("rows.arrow"))
        assert stats.disk_bytes["rows"] == rows
        assert stats.text_bytes > 0
        assert stats.log_bytes > 0
        assert json.loads(json.dumps(stats.to_dict()))["live"] == 211


def test_stats_of_an_empty_collection_in_memory() -> None:
    stats = nearrow.connect(":memory:").create_collection("docs", 4).stats()
    assert (stats.live, stats.dead, stats.segments) == (0, 0, ())
