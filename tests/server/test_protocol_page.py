"""Protocol page: does the script of docs/protocol.md, which knows only pyarrow.flight, print what the page says?"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from pyarrow import flight

from nearrow.server.auth import Tokens
from nearrow.server.running import Server
from nearrow.server.settings import ServerSettings
from nearrow.server.wire.requests import TICKETS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"
TOKEN = "write-secret-xxxxxxxxxxxx"


def test_script_of_the_page_prints_what_the_page_says(tmp_path: Path) -> None:
    text = PAGE.read_text()
    script, printed = re.search(
        r"```python\n((?:(?!```).)*)```\n\nIt prints:\n\n```text\n(.*?)```", text, re.DOTALL
    ).groups()
    assert "nearrow" not in script
    tokens = Tokens.parse([f"write {TOKEN}"], "the test")
    with Server(ServerSettings(str(tmp_path / "library"), port=0, tokens=tokens)) as server:
        command = [sys.executable, "-c", script, server.location, TOKEN]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == printed


def test_page_shows_every_ticket() -> None:
    text = PAGE.read_text()
    assert all(f'{{"do": "{do}"' in text for do in TICKETS)


def test_function_of_the_page_reads_the_compact_form(tmp_path: Path) -> None:
    function = re.search(r"### The compact form.*?```python\n(.*?)```", PAGE.read_text(), re.DOTALL).group(1)
    assert "nearrow" not in function
    found: dict[str, Any] = {}
    exec(function, found)
    command = b'{"collection": "docs", "form": "compact"}'
    with Server(ServerSettings(str(tmp_path / "library"), port=0)) as server:
        for ids in (["a", "bé", "c"], [3, -2, 1]):
            docs = server.database.create_collection("docs", dimension=2, metric="l2")
            docs.add(ids=ids, vectors=[[0, 0], [1, 0], [0, 2]])
            with flight.FlightClient(server.location) as client:
                writer, reader = client.do_exchange(flight.FlightDescriptor.for_command(command))
                assert found["ask"](writer, reader, np.zeros(2), b'{"k": 2}') == ids[:2]
                assert found["ask"](writer, reader, np.array([0, 2])) == [ids[2], ids[0]]
                writer.close()
            server.database.drop_collection("docs")
