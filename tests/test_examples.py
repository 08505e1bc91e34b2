"""Examples: does every script in examples/ run from start to end, and print what the documentation shows?"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from real_data import data_file

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NEEDS_ALL_DATA = {"cut_demo_data.py"}
NEEDS_FILE = {"image_search.py": "fashion-mnist/fashion-mnist.npz"}
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py") if path.name not in NEEDS_ALL_DATA)

PAGE = EXAMPLES.parent / "docs" / "examples.md"
MOVES = {"rag_over_markdown.py"}  # it reads the guide, which grows
SHOWN = dict(re.findall(r"^## `(\S+)`$.*?^```text\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))


def without_padding(text: str) -> list[str]:
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n").splitlines()


@pytest.mark.parametrize("script", SCRIPTS)
def test_example_runs(script: str, tmp_path: Path) -> None:
    if script in NEEDS_FILE:
        data_file(NEEDS_FILE[script])
    done = subprocess.run(
        [sys.executable, EXAMPLES / script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    if script not in MOVES:
        assert without_padding(done.stdout) == without_padding(SHOWN[script])


def test_every_script_is_listed_in_the_readme() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    assert all(f"`{path.name}`" in listed for path in EXAMPLES.glob("*.py"))
