"""Setup: which peers can be installed here?"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.session import ROOT

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def install(folder: Path = ROOT / ".venv-bench") -> list[str]:
    """A virtual environment with every peer that installs; returns (and prints) those that did not."""
    if not folder.exists():
        venv.create(folder, with_pip=True)
    absent = []
    for line in REQUIREMENTS.read_text().splitlines():
        requirement = line.partition("#")[0].strip()
        if requirement:
            command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", requirement]
            print("installing", requirement, flush=True)
            if subprocess.run(command, check=False).returncode:
                absent.append(requirement)
    print("absent:", ", ".join(absent) or "none", file=sys.stderr)
    return absent
