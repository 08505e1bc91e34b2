"""Upkeep commands: do they say what is wrong, and mend it?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import nearrow
from nearrow.cli.main import app


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


@pytest.fixture
def library(tmp_path: Path) -> Path:
    with nearrow.connect(tmp_path) as db:
        docs = db.create_collection("docs", 2, metric="l2")
        docs.add(ids=["a", "b"], vectors=[[1.0, 2.0], [3.0, 4.0]])
        docs.flush()
    return tmp_path


def test_check_repair_check(library: Path) -> None:
    assert run("check", library, "docs").startswith("ok")
    (table,) = library.rglob("ids.bin")
    table.write_bytes(b"x" * table.stat().st_size)
    assert "ids.bin" in run("check", library, "docs", code=1)
    assert json.loads(run("repair", library, "docs", "--json"))["rows_lost"] == 0
    assert json.loads(run("check", library, "docs", "--json"))["ok"] is True


def test_stats(library: Path) -> None:
    assert json.loads(run("stats", library, "docs", "--json"))["live"] == 2
    assert "segments" in run("stats", library, "docs")
