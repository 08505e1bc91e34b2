"""Text child: a process that writes a text index until it is killed, for test_text_crash.

Row n holds the words "every" and "n<n>"; from each group of ten, rows 3 and 7 die in a later commit. Prints the
watermark of each commit that has returned.
"""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa

from nearrow.index.text import TextIndex


def main(path: str, start: int) -> None:
    index = TextIndex.open(path, ["text"])
    assert index.watermark >= start
    row = index.watermark
    while True:
        rows = np.arange(row, row + 10, dtype=np.uint64)
        index.add(rows, {"text": pa.array([f"every n{n}" for n in rows.tolist()])})
        if row >= 10:
            index.delete(np.array([row - 7, row - 3], np.uint64))
        row += 10
        index.commit(row, row)
        print(row, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
