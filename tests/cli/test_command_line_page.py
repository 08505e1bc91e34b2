"""Command line page: does it name every command, and every exit code with the words of the table in the code?"""

from __future__ import annotations

import re
from pathlib import Path

from typer.testing import CliRunner

from nearrow.cli import main

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "guide" / "command-line.md").read_text()


def test_every_command_is_on_the_page_and_takes_json() -> None:
    for command in main.app.registered_commands:
        assert f"| `nearrow {command.name}" in PAGE, command.name
        assert "--json" in CliRunner().invoke(main.app, [str(command.name), "--help"]).output, command.name


def test_exit_codes_are_those_of_the_code() -> None:
    assert main.__doc__ is not None
    told = dict(re.findall(r"^    (\d)\s+(\S.*)$", main.__doc__, re.MULTILINE))
    assert dict(re.findall(r"^\| (\d) \| (.*) \|$", PAGE, re.MULTILINE)) == told
    assert {str(code) for _, code in main.EXIT_CODES} <= set(told)
