"""Golden: does a database written by every released format still open, read and take writes?"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

import nearrow

sys.path.insert(0, str(Path(__file__).parent))
from make_golden import DATA, QUERY, answers

VERSIONS = sorted(path.name for path in DATA.glob("v*") if path.is_dir())


@pytest.fixture(params=VERSIONS)
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy, for the original is never touched."""
    shutil.copytree(DATA / request.param, tmp_path / request.param)
    return tmp_path / request.param


def expected(path: Path) -> dict[str, object]:
    return json.loads((DATA / f"{path.name}.json").read_text())


def test_there_is_a_golden_directory() -> None:
    assert "v1" in VERSIONS


def test_reader_finds_what_was_written(golden: Path) -> None:
    with nearrow.connect(golden, read_only=True) as database:
        assert answers(database) == expected(golden)


def test_writer_finds_what_was_written_and_goes_on(golden: Path) -> None:
    with nearrow.connect(golden) as database:
        assert answers(database) == expected(golden)
        docs = database.collection("docs")
        count = docs.count()
        docs.upsert([{"id": "new", "vector": QUERY, "year": 2000}])
        docs.delete(["id-1"])
        docs.compact()
        assert docs.search(QUERY, k=1).ids.tolist() == ["new"]
    with nearrow.connect(golden) as database:
        assert database.collection("docs").count() == count


def test_graph_of_the_golden_directory_is_used(golden: Path) -> None:
    with nearrow.connect(golden, read_only=True) as database:
        for name in ("docs", "halves"):
            collection = database.collection(name)
            exact, graph = (collection.search(QUERY, k=8, exact=exact, ef_search=64) for exact in (True, False))
            assert len(graph) == 8
            assert len(set(exact.ids.tolist()) & set(graph.ids.tolist())) >= 7  # it walks on codes of 8 bits
            graphs = [part.graph for part in collection._view().parts]
            assert any(found is not None for found in graphs)
