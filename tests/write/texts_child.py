"""Texts child: a process that writes rows with text and commits their index until it is killed, for test_texts.

Rows come in tens; of each ten before, rows 3 and 7 get other words or go. Prints how many rows were acknowledged.
"""

from __future__ import annotations

import sys

import numpy as np

import nearrow


def main(path: str) -> None:
    db = nearrow.connect(path)
    docs = db.get_or_create_collection("docs", 2, text_fields=["text"], memtable_rows=64)
    row = max((int(name[2:]) + 1 for name in docs.to_arrow().column("id").to_pylist()), default=0)
    row += -row % 10
    while True:
        numbers = range(row, row + 10)
        docs.upsert(
            ids=[f"id{n}" for n in numbers], vectors=np.ones((10, 2), "f"), texts=[f"every old n{n}" for n in numbers]
        )
        if row >= 10:
            docs.delete(ids=[f"id{row - 7}"])
            docs.upsert(ids=[f"id{row - 3}"], vectors=np.ones((1, 2), "f"), texts=[f"every new n{row - 3}"])
        row += 10
        print(row, flush=True)
        docs._store.texts.sync()  # type: ignore[union-attr]


if __name__ == "__main__":
    main(sys.argv[1])
