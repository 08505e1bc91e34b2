"""Table: how do the results of all engines read side by side?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent.parent / "results" / "faults"
TITLES = {
    "kill": "kill -9 while writing",
    "power": "power cut",
    "power_flushed": "power cut, `flush()` after each batch where there is one",
    "flips": "one byte flipped",
    "full_disk": "disk full, then space again",
    "failed_sync": "every fsync fails (EIO)",
    "syncs": "syncs made for 5 acknowledged batches",
    "two_writers": "second writer process",
}


def markdown() -> str:
    """Engines as columns, cases as rows."""
    results = {file.stem: json.loads(file.read_text()) for file in sorted(RESULTS.glob("*.json"))}
    engines = sorted(results, key=lambda name: (name != "nearrow", name))
    heads = [f"{engine} {results[engine]['version']}" for engine in engines]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---|" * len(engines)]
    for case, title in TITLES.items():
        cells = [_cell(results[engine].get(case)) for engine in engines]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(found: dict[str, Any] | None) -> str:
    if found is None:
        return "not run"
    shown = []
    for name, value in found.items():
        if name == "examples" or value in ("", [], {}):
            continue
        shown.append(f"{name} {_words(value)}")
    return ", ".join(shown).replace("|", "/")


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items())
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return str(value)
