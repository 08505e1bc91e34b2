"""Makes the golden directory of the current format. Run it once for each released format, and never change what it made.

    python tests/golden/make_golden.py

It writes data/v<format>/ and, beside it, the answers that every later Nearrow must give.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nearrow
from nearrow.storage.manifest import FORMAT_VERSION

DATA = Path(__file__).parent / "data"
PAGE = 4096
QUERY = [0.5, 1.0, -2.0, 0.25]


def rows(first: int, last: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"id-{n}" if n % 5 else f"ünïcode-{n}",
            "vector": [float(n % 7 - 3), float(n % 5 - 2), n / 10, 1.0],
            "text": None if n % 11 == 0 else f"the {n}th star of the sea",
            "year": None if n % 13 == 0 else 1900 + n,
            "tags": [["red", "green", "blue"][k] for k in range(n % 4)],
            "place": {"x": n, "name": {"short": f"p{n}"}},
        }
        for n in range(first, last)
    ]


def answers(database: nearrow.Database) -> dict[str, Any]:
    """Everything that the golden database says."""
    docs, halves = database.collection("docs"), database.collection("halves")
    hits = docs.search(QUERY, k=8, exact=True, columns=["id"])
    near = halves.search(QUERY, k=8, exact=True, columns=["id"])
    return {
        "collections": database.collections(),
        "docs": sorted(docs.to_arrow().to_pylist(), key=lambda row: row["id"]),
        "docs_schema": str(docs.schema),
        "docs_nearest": hits.ids.tolist(),
        "docs_distances": [round(value, 4) for value in hits.distances.tolist()],
        "halves": sorted(halves.to_arrow().to_pylist(), key=lambda row: row["id"]),
        "halves_nearest": near.ids.tolist(),
    }


def make(path: Path) -> dict[str, Any]:
    with nearrow.connect(path) as database:
        settings = {"m": 4, "ef_construction": 32, "memtable_rows": 64, "graph_rows_min": 32}
        docs = database.create_collection("docs", 4, metric="l2", text_fields=["text"], **settings)
        docs.add(rows(0, 60))
        docs.compact()
        docs.delete(["id-3", "id-4"])
        docs.upsert(rows(50, 70))
        docs.flush()
        docs.wait()
        docs.upsert([{**row, "late": True} for row in rows(70, 74)])  # the log's tail, with a new column
        docs.delete(["id-71", "id-8"])
        halves = database.create_collection("halves", 4, metric="cosine", dtype="float16", **settings)
        halves.add([{"id": n - 2, "vector": [1.0, n % 3, n % 5, -1.0], "n": n} for n in range(40)])
        halves.flush()
        halves.wait()
    with nearrow.connect(path, read_only=True) as database:
        return answers(database)


def shorten_logs(path: Path) -> None:
    """Logs keep zeros ahead of their end; they say nothing, and need not lie in the repository."""
    for log in path.rglob("*.log"):
        used = len(log.read_bytes().rstrip(b"\0"))
        log.write_bytes(log.read_bytes()[: -(-used // PAGE) * PAGE])


if __name__ == "__main__":
    target = DATA / f"v{FORMAT_VERSION}"
    shutil.rmtree(target, ignore_errors=True)
    found = make(target)
    shorten_logs(target)
    (DATA / f"v{FORMAT_VERSION}.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    print(f"{target}: {sum(file.stat().st_size for file in target.rglob('*') if file.is_file()):,} bytes")
