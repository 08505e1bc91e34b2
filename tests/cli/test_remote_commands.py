"""Remote commands: does every command take the address of a server for a library?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from nearrow.cli.main import EXIT_CODES, app
from nearrow.errors import AccessDeniedError, UnavailableError
from nearrow.server.auth import Tokens
from nearrow.server.running import Server
from nearrow.server.settings import ServerSettings

TOKEN = "admin-secret-xxxxxxxxxxxx"


def run(*arguments: object, code: int = 0, token: str = TOKEN) -> str:
    """Run the command line with a token in its environment; assert its exit code; return what it printed."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"NEARROW_TOKEN": token})
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    settings = ServerSettings(
        str(tmp_path / "library"),
        port=0,
        tokens=Tokens.parse([f"admin {TOKEN}"], "the test"),
        snapshots=tmp_path / "snapshots",
    )
    with Server(settings) as server:
        yield server.location


def test_whole_life_of_a_collection_behind_a_server(address: str, tmp_path: Path, wordnet_small: pa.Table) -> None:
    rows = tmp_path / "rows.parquet"
    pq.write_table(wordnet_small.slice(0, 200), rows)
    assert json.loads(run("create", address, "other", "--dimension", 8, "--json"))["dimension"] == 8
    assert (
        json.loads(run("import", address, "words", rows, "--create", "--text-field", "text", "--json"))["rows"] == 200
    )
    assert [row["collection"] for row in json.loads(run("list", address, "--json"))] == ["other", "words"]
    like = wordnet_small["id"][3].as_py()
    hits = json.loads(run("search", address, "words", "--like", like, "-k", 3, "--json"))
    assert len(hits) == 3
    assert like not in {hit["id"] for hit in hits}
    counted = json.loads(
        run("sql", address, "SELECT count(*) AS n FROM words WHERE n_words > $n", "-p", "n=0", "--json")
    )
    assert counted[0]["n"] > 100
    assert json.loads(run("stats", address, "words", "--json"))["live"] == 200
    file = tmp_path / "out.parquet"
    assert json.loads(run("export", address, "words", file, "--json"))["rows"] == 200
    assert json.loads(run("adopt", address, "adopted", file, "--json"))["rows"] == 200
    assert json.loads(run("compact", address, "words", "--json"))["segments"] == 1
    assert json.loads(run("check", address, "words", "--json"))["ok"]
    assert not json.loads(run("repair", address, "words", "--json"))["changed"]
    assert json.loads(run("snapshot", address, "words", "monday", "--json"))["rows"] == 200
    assert json.loads(run("restore", address, "monday", "--name", "again", "--json"))["rows"] == 200
    measured = json.loads(run("bench", address, "words", "--queries", 30, "--sample", 20, "--json"))
    assert (measured["rows"], measured["recall"]) == (200, 1.0)
    assert 0 < measured["p50_us"] <= measured["p95_us"] <= measured["p99_us"]
    assert "p95_us" in run("bench", tmp_path / "library", "words", "--queries", 5)


def test_refusals_have_their_exit_codes(address: str) -> None:
    codes = dict(EXIT_CODES)
    assert run("list", address, code=codes[AccessDeniedError], token="wrong-wrong-wrong-wrong")
    assert run("list", "grpc://127.0.0.1:1", code=codes[UnavailableError])
    assert "no collection" in run("stats", address, "nothing", code=3)
    assert "no rows" in run("bench", address, run("create", address, "empty", "--dimension", 2) and "empty", code=3)


@pytest.mark.parametrize("command", ["serve", "bench", "compact"])
def test_command_has_help_with_an_example(command: str) -> None:
    assert f"nearrow {command} ./library" in run(command, "--help")


def test_open_network_without_guards_is_refused(tmp_path: Path) -> None:
    assert "--insecure" in run("serve", tmp_path, "--host", "0.0.0.0", "--port", 0, code=2)
    run("serve", tmp_path, "--log-level", "loud", code=2)
