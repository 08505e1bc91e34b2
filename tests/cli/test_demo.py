"""Demo: does it run anywhere, and does it tell the truth?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nearrow.cli import demo_data
from nearrow.errors import NotFoundError

PROJECT = Path(__file__).resolve().parents[2]


def run_demo(folder: Path, *arguments: str, columns: int = 100) -> str:
    """Run the demo as a user would, with stdout a pipe, from `folder`."""
    done = subprocess.run(
        [sys.executable, "-m", "nearrow.cli", "demo", *arguments],
        cwd=folder,
        env={**os.environ, "COLUMNS": str(columns)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_outside_a_checkout_it_runs_on_the_small_set_and_measures_it(tmp_path: Path) -> None:
    result = json.loads(run_demo(tmp_path, "--json", "--data", str(demo_data.BUNDLED)))
    assert result["rows"] == 1_500
    assert result["recall_at_10"] >= 0.98
    assert result["same_answer"]
    assert {"rows", "ids"} <= set(result["bytes_by_kind"])
    first = {answer["word"]: answer["hits"][0]["lemmas"][0] for answer in result["answers"]}
    assert first["astronomer"] == "astrophysicist"
    assert first["thunderstorm"] == "hailstorm"
    assert not list(tmp_path.iterdir())


def test_its_table_is_plain_text_when_stdout_is_a_pipe(tmp_path: Path) -> None:
    shown = run_demo(tmp_path, "--data", str(demo_data.BUNDLED))
    assert "\x1b" not in shown
    assert "\r" not in shown
    assert max(len(line) for line in shown.splitlines()) <= 100
    assert "astrophysicist" in shown
    assert "recall@10" in shown


def test_it_keeps_the_database_when_asked_and_overwrites_nothing(tmp_path: Path) -> None:
    run_demo(tmp_path, "--keep", str(tmp_path / "library"), "--data", str(demo_data.BUNDLED))
    command = [sys.executable, "-m", "nearrow.cli", "search", "library", "wordnet", "--like", "n09819291", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert len(json.loads(done.stdout)) == 10
    again = [sys.executable, "-m", "nearrow.cli", "demo", "--keep", "library"]
    assert subprocess.run(again, cwd=tmp_path, capture_output=True, check=False).returncode == 4


def test_in_a_checkout_it_finds_the_large_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    assert demo_data.find_folder(None) == PROJECT / "examples" / "data"


def test_a_folder_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"rows\.parquet"):
        demo_data.find_folder(tmp_path)


@pytest.mark.parametrize("folder", [PROJECT / "examples" / "data", demo_data.BUNDLED])
def test_the_queries_are_not_among_the_rows_and_the_licence_is_beside_them(folder: Path) -> None:
    demo = demo_data.load(folder)
    assert isinstance(demo.rows, pa.Table)
    assert demo.vectors.shape == (200, 384)
    assert demo.shown == 12
    assert "Princeton University" in (folder / "LICENSE-WORDNET.txt").read_text()
    queries = set(pq.read_table(folder / "queries.parquet", columns=["id"])["id"].to_pylist())
    assert not queries & set(demo.rows["id"].to_pylist())
