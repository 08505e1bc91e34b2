"""Analytics commands: do SQL, snapshots and restores work from the shell?"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import nearrow
from nearrow.cli.main import app


def run(*arguments: object, code: int = 0) -> str:
    """Run the command line; assert its exit code; return what it printed."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


@pytest.fixture
def library(tmp_path: Path) -> Path:
    with nearrow.connect(tmp_path / "library") as db:
        docs = db.create_collection("docs", 4)
        vectors = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
        docs.add(
            ids=list("abcdef"), vectors=vectors, metadata=[{"year": 2000 + n, "shelf": "xy"[n % 2]} for n in range(6)]
        )
    return tmp_path / "library"


def test_sql_prints_rows(library: Path) -> None:
    query = "SELECT shelf, count(*) AS books FROM docs WHERE year > $since AND shelf <> $other GROUP BY 1"
    found = run("sql", library, query, "-p", "since=2001", "-p", "other=y", "--json")
    assert json.loads(found) == [{"shelf": "x", "books": 2}]
    assert "books" in run("sql", library, "SELECT count(*) AS books FROM docs")


def test_wrong_sql_is_wrong_usage(library: Path) -> None:
    assert "nothing" in run("sql", library, "SELECT nothing FROM docs", code=2)
    run("sql", library, "SELECT * FROM docs WHERE year = $y", "-p", "2000", code=2)
    run("sql", library, "COPY docs TO 'x.csv'", code=2)


def test_snapshot_then_restore(library: Path, tmp_path: Path) -> None:
    taken = json.loads(run("snapshot", library, "docs", tmp_path / "backup", "--compression", "zstd", "--json"))
    assert taken["rows"] == 6
    run("snapshot", library, "docs", tmp_path, code=4)  # it holds something else
    series = tmp_path / "series"
    for _ in range(3):
        run("snapshot", library, "docs", series, "--keep", "2")
    assert len(list(series.iterdir())) == 2
    run("restore", library, tmp_path / "backup", code=4)
    restored = json.loads(run("restore", library, tmp_path / "backup", "--name", "docs2", "--json"))
    assert restored == {"collection": "docs2", "rows": 6}
    with nearrow.connect(library, read_only=True) as db:
        assert db.collection("docs2").to_arrow().equals(db.collection("docs").to_arrow())


def test_damaged_snapshot_has_its_exit_code(library: Path, tmp_path: Path) -> None:
    run("snapshot", library, "docs", tmp_path / "backup")
    (rows,) = (tmp_path / "backup" / "vectors.parquet").iterdir()
    rows.write_bytes(b"PAR1")
    assert "vectors.parquet" in run("restore", library, tmp_path / "backup", "--name", "docs2", code=6)
    run("restore", library, tmp_path / "nothing", code=3)
