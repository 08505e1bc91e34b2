"""Graph report, statistics and pictures: do they say what the graph is?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import nearrow
from nearrow.analytics.graph_report import _components, _reached
from nearrow.errors import InvalidArgumentError, NotFoundError

ROWS = 600


@pytest.fixture
def docs(tmp_path: Path, wordnet_small: pa.Table) -> Iterator[nearrow.Collection]:
    with nearrow.connect(tmp_path / "library") as db:
        collection = db.create_collection("words", 384, graph_rows_min=100, m=8)
        collection.add(wordnet_small.slice(0, ROWS))
        collection.compact()
        yield collection


def test_levels_degrees_and_reachability_are_those_of_the_graph(docs: nearrow.Collection) -> None:
    (report,) = docs.graph_report()
    assert report.rows == report.nodes == report.level_nodes[0] == sum(report.degree_histogram) == ROWS
    assert list(report.level_nodes) == sorted(report.level_nodes, reverse=True)
    assert report.connected
    assert (report.reachable, report.components) == (ROWS, 1)
    assert len(report.degree_histogram) <= 2 * 8 + 1
    mean = sum(degree * nodes for degree, nodes in enumerate(report.degree_histogram)) / ROWS
    assert report.degree_mean == pytest.approx(mean)
    assert len(report.level_balance) == len(report.level_nodes) - 1
    assert all(balance > 0 for balance in report.level_balance)
    assert json.loads(json.dumps(report.to_dict()))["connected"] is True
    docs.add([{"id": "x", "vector": [1.0] * 384}])
    docs.flush()
    assert len(docs.graph_report()) == 1  # a small segment has none


def test_islands_are_counted() -> None:
    links = np.array([[1, -1], [0, -1], [3, -1], [-1, -1], [-1, -1]], np.int32)
    assert _components(links) == 3
    assert _reached(links, np.array([0])).tolist() == [True, True, False, False, False]
    assert _reached(links, np.array([2])).tolist() == [False, False, True, True, False]
    assert _components(np.empty((0, 2), np.int32)) == 0


def test_stats_have_graph_memory_and_moments(docs: nearrow.Collection, tmp_path: Path) -> None:
    (report,) = docs.graph_report()
    before = docs.stats()
    assert before.levels == len(report.level_nodes)
    assert before.average_degree == pytest.approx(report.degree_mean)
    assert (before.last_merge, before.last_snapshot) == (None, None)
    files = [path for path in tmp_path.rglob("segments/*/*") if not path.name.startswith("deletes")]
    assert before.mapped_bytes == sum(path.stat().st_size for path in files)
    if before.memory_resident_bytes is not None:
        assert before.memory_resident_bytes >= (before.memory_anonymous_bytes or 0)
    docs.upsert([{"id": "x", "vector": [1.0] * 384}])
    docs.flush()
    flushed = docs.stats().last_flush
    docs.compact()
    taken = docs.snapshot(tmp_path / "snapshot")
    after = docs.stats()
    assert flushed is not None
    assert flushed > (before.last_flush or 0)
    assert after.last_merge is not None
    assert after.last_merge >= flushed
    assert after.last_snapshot == taken.created_at
    assert json.loads(json.dumps(after.to_dict()))["levels"] == after.levels
    empty = nearrow.connect(":memory:").create_collection("empty", 2).stats()
    assert (empty.last_flush, empty.last_merge) == (None, None)
    assert (empty.levels, empty.average_degree, empty.mapped_bytes) == (0, None, 0)


def test_every_setting_comes_back_from_json() -> None:
    config = nearrow.CollectionConfig(
        "Ünïcode",
        7,
        metric="ip",
        text_fields=["title", "body"],
        m=9,
        ef_construction=33,
        ml=0.4,
        durability="batched",
        dtype="float16",
        codes="8",
        seed=5,
        memtable_rows=77,
        memtable_bytes=1 << 21,
        graph_rows_min=99,
        text_settings={"body": nearrow.TextSettings(stemmer="german")},
    )
    default = nearrow.CollectionConfig("other", 8)
    same = [field.name for field in fields(config) if getattr(config, field.name) == getattr(default, field.name)]
    assert nearrow.CollectionConfig.from_json(config.to_json()) == config
    assert json.loads(config.to_json())["metric"] == "dot"
    for name in {"metric", "m", "ml", "dtype", "codes", "seed", "durability", "text_fields", "text_settings"}:
        assert name not in same
    unknown = json.loads(config.to_json()) | {"metrik": "l2"}
    with pytest.raises(InvalidArgumentError, match=r"metrik.*did you mean 'metric'"):
        nearrow.CollectionConfig.from_json(json.dumps(unknown))


def test_the_picture_has_three_parts(docs: nearrow.Collection, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pip install nearrow[plot] to draw")
    figure = docs.plot(tmp_path / "words.png", color="lexname", sample=300, queries=20)
    recall, degrees, rows = figure.axes
    assert (tmp_path / "words.png").stat().st_size > 10_000
    (line,) = recall.lines
    found = line.get_ydata()
    assert 0.5 < found[0] <= found[-1] <= 1
    assert sum(bar.get_height() for bar in degrees.patches) == ROWS
    assert sum(len(points.get_offsets()) for points in rows.collections) == 300
    assert len(docs.plot(color="n_words", sample=50, queries=5).axes) == 4  # a colour bar
    with pytest.raises(NotFoundError, match="colour"):
        docs.plot(color="nothing")
    with pytest.raises(InvalidArgumentError, match="no rows"):
        nearrow.connect(":memory:").create_collection("empty", 2).plot()
