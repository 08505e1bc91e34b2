"""Results: where are the figures of each engine on each set kept, and how do runs add to them?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"


def path(dataset: str, engine: str, folder: Path = FOLDER) -> Path:
    return folder / dataset / f"{engine}.json"


def read(dataset: str, engine: str, folder: Path = FOLDER) -> dict[str, Any]:
    """What is known of an engine on a set; an empty dict before its first run."""
    file = path(dataset, engine, folder)
    return json.loads(file.read_text()) if file.exists() else {}


def update(dataset: str, engine: str, part: dict[str, Any], folder: Path = FOLDER) -> dict[str, Any]:
    """Replace the given top-level entries, keep the others."""
    known = {"engine": engine, "set": dataset} | read(dataset, engine, folder) | part
    file = path(dataset, engine, folder)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(_rounded(known), indent=1, sort_keys=True) + "\n")
    return known


def engines(dataset: str, folder: Path = FOLDER) -> list[str]:
    return sorted(file.stem for file in (folder / dataset).glob("*.json"))


def _rounded(value: Any) -> Any:
    """Six significant digits are more than any clock here deserves, and keep the files small."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
