"""Damage: a small collection with a file of every kind, and how to harm it."""

from __future__ import annotations

from pathlib import Path

import nearrow
from nearrow.collection import Collection


def make(library: Path, *, text: bool = False) -> None:
    """200 rows in a segment with a graph, some dead, and 3 in the log."""
    with nearrow.connect(library) as db:
        docs = db.create_collection(
            "docs", 4, metric="l2", graph_rows_min=8, memtable_rows=64, text_fields=["text"] if text else []
        )
        docs.upsert(rows(0, 200))
        docs.wait()
        docs.delete(["id-3", "id-5"])
        docs.upsert(rows(200, 210))
        docs.flush()
        docs.wait()
        docs.upsert(rows(210, 213))


def rows(first: int, last: int) -> list[dict[str, object]]:
    return [{"id": f"id-{n}", "vector": [float(n), 1.0, 2.0, 3.0], "text": f"row {n}"} for n in range(first, last)]


def folder(library: Path) -> Path:
    (found,) = (library / "collections").iterdir()
    return found


def largest(library: Path, pattern: str) -> Path:
    return max(folder(library).glob(pattern), key=lambda path: path.stat().st_size)


def flip(path: Path, position: int | None = None) -> None:
    """Change one byte in place: whoever has the file mapped sees it."""
    with path.open("r+b") as file:
        data = file.read()
        position = (len(data) // 2 if position is None else position) % len(data)
        file.seek(position)
        file.write(bytes([data[position] ^ 0x55]))


def reader(library: Path) -> Collection:
    return nearrow.connect(library, read_only=True).collection("docs")


def overwrite(path: Path, data: bytes) -> None:
    """Other content under the same name; threads of readers just closed may still look into the file as it was."""
    fresh = path.with_name(path.name + ".fresh")
    fresh.write_bytes(data)
    fresh.replace(path)
