"""Commands: can a collection be made, filled and searched from the shell, and do failures have their exit codes?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import nearrow
from nearrow.cli.main import EXIT_CODES, app


def run(*arguments: object, code: int = 0) -> str:
    """Run the command line; assert its exit code; return what it printed."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


@pytest.fixture
def rows_file(tmp_path: Path, wordnet_small: pa.Table) -> Path:
    path = tmp_path / "rows.parquet"
    pq.write_table(wordnet_small.slice(0, 200), path)
    return path


@pytest.fixture
def first_id(wordnet_small: pa.Table) -> str:
    return str(wordnet_small["id"][0].as_py())


@pytest.fixture
def library(tmp_path: Path, rows_file: Path) -> Path:
    run("import", tmp_path / "library", "words", rows_file, "--create")
    return tmp_path / "library"


def test_create_then_list(tmp_path: Path) -> None:
    config = json.loads(run("create", tmp_path / "new", "docs", "--dimension", 8, "--metric", "l2", "--json"))
    assert (config["dimension"], config["metric"]) == (8, "l2")
    listed = json.loads(run("list", tmp_path / "new", "--json"))
    assert listed == [{"collection": "docs", "rows": 0, "dimension": 8, "metric": "l2"}]


def test_import_creates_the_collection_when_asked(library: Path, first_id: str, wordnet_small: pa.Table) -> None:
    with nearrow.connect(str(library), read_only=True) as db:
        words = db.collection("words")
        assert len(words) == 200
        assert words.config.dimension == 384
        assert words.get([first_id], columns=["text"])["text"].to_pylist() == wordnet_small["text"].to_pylist()[:1]


def test_import_into_nothing_says_how_to_create_it(tmp_path: Path, rows_file: Path) -> None:
    assert "--create" in run("import", tmp_path / "library", "words", rows_file, code=3)


def test_import_again_replaces_rows(library: Path, rows_file: Path) -> None:
    facts = json.loads(run("import", library, "words", rows_file, "--json"))
    assert (facts["rows"], facts["new_rows"]) == (200, 0)


def test_import_of_only_new_rows_refuses_those_that_exist(library: Path, rows_file: Path) -> None:
    run("import", library, "words", rows_file, "--only-new", code=4)


def test_search_like_a_row_leaves_that_row_out(library: Path, first_id: str, wordnet_vectors: np.ndarray) -> None:
    hits = json.loads(run("search", library, "words", "--like", first_id, "-k", 5, "--exact", "--json"))
    distances = 1 - wordnet_vectors[:200] @ wordnet_vectors[0]
    assert len(hits) == 5
    assert first_id not in {hit["id"] for hit in hits}
    assert [hit["distance"] for hit in hits] == pytest.approx(np.sort(distances)[1:6], rel=1e-4)


def test_search_by_a_vector_in_a_file(library: Path, tmp_path: Path, wordnet_vectors: np.ndarray) -> None:
    np.save(tmp_path / "query.npy", wordnet_vectors[7])
    hits = json.loads(run("search", library, "words", "--vector", f"@{tmp_path / 'query.npy'}", "-k", 1, "--json"))
    assert hits[0]["distance"] == pytest.approx(0, abs=1e-5)


def test_search_shows_the_columns_asked_for(library: Path, first_id: str) -> None:
    shown = run("search", library, "words", "--like", first_id, "-k", 2, "--column", "lexname")
    assert "lexname" in shown
    assert "lemmas" not in shown


@pytest.mark.parametrize("where", ["n_words > 12", '{"n_words": {"$gt": 12}}'])
def test_search_under_a_filter_in_sql_or_json(library: Path, first_id: str, where: str) -> None:
    hits = json.loads(run("search", library, "words", "--like", first_id, "-k", 5, "--where", where, "--json"))
    assert len(hits) == 5
    assert all(hit["n_words"] > 12 for hit in hits)


def test_search_by_text(tmp_path: Path, rows_file: Path) -> None:
    run("import", tmp_path / "texts", "words", rows_file, "--create", "--text-field", "text")
    hits = json.loads(run("search", tmp_path / "texts", "words", "--text", "person", "-k", 3, "--json"))
    assert len(hits) == 3
    assert all("person" in hit["text"] for hit in hits)


def test_search_without_a_query_is_wrong_usage(library: Path) -> None:
    assert "--like" in run("search", library, "words", code=2)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["list", "{library}", "--no-such-option"], 2),
        (["search", "{library}", "words", "--vector", "[1, 2]"], 2),
        (["search", "{library}", "words", "--vector", "neither"], 2),
        (["search", "{library}", "words", "--like", "{first}", "--where", "no_such_field = 1"], 2),
        (["search", "{library}", "words", "--like", "{first}", "--where", "{{neither"], 2),
        (["search", "{library}", "words", "--like", "no such id"], 3),
        (["search", "{library}", "other", "--like", "{first}"], 3),
        (["import", "{library}", "words", "no-such-file.parquet"], 3),
        (["create", "{library}", "words", "--dimension", "8"], 4),
        (["create", "{library}", "zero", "--dimension", "0"], 2),
    ],
)
def test_a_failure_has_its_exit_code(library: Path, first_id: str, arguments: list[str], code: int) -> None:
    run(*(argument.format(library=library, first=first_id) for argument in arguments), code=code)


def test_a_collection_that_another_process_writes_to_is_locked(library: Path, rows_file: Path) -> None:
    with nearrow.connect(str(library)) as db:
        assert db.collection("words")
        done = subprocess.run(
            [sys.executable, "-m", "nearrow.cli", "import", str(library), "words", str(rows_file)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 5, done.stderr
    assert done.stderr.startswith("error:")
    assert "Traceback" not in done.stderr


def test_every_error_of_the_tree_has_an_exit_code() -> None:
    kinds = tuple(kind for kind, _ in EXIT_CODES)
    for name in nearrow.errors.__all__:
        assert issubclass(getattr(nearrow.errors, name), kinds)


@pytest.mark.parametrize("command", ["", "demo", "list", "create", "import", "search"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    shown = run(*command.split(), "--help")
    assert not command or f"nearrow {command}" in shown


def test_version_is_printed() -> None:
    assert run("--version").startswith("nearrow ")
