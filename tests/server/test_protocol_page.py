"""Protocol page: does the script of docs/protocol.md, which knows only pyarrow.flight, print what the page says?"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from nearrow.server.auth import Tokens
from nearrow.server.running import Server
from nearrow.server.settings import ServerSettings
from nearrow.server.wire.requests import TICKETS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"
TOKEN = "write-secret-xxxxxxxxxxxx"


def test_script_of_the_page_prints_what_the_page_says(tmp_path: Path) -> None:
    text = PAGE.read_text()
    script, printed = re.search(r"```python\n(.*?)```\n\nIt prints:\n\n```text\n(.*?)```", text, re.DOTALL).groups()
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
