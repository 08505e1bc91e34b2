"""Reader beside writer: what does another process see while this one writes?

python examples/reader_beside_writer.py
"""

from __future__ import annotations

import subprocess
import sys
from tempfile import TemporaryDirectory

import numpy as np

import nearrow

READER = """
import sys, nearrow
with nearrow.connect(sys.argv[1], read_only=True) as db:
    docs = db.collection("docs")
    print(len(docs), flush=True)
    for _ in sys.stdin:
        docs.refresh()
        print(len(docs), flush=True)
"""

rng = np.random.default_rng(0)
with TemporaryDirectory() as folder, nearrow.connect(folder) as db:
    docs = db.create_collection("docs", dimension=16, metric="l2")
    docs.add(ids=list(range(100)), vectors=rng.standard_normal((100, 16), dtype=np.float32))
    with subprocess.Popen(
        [sys.executable, "-c", READER, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        print("the reader opened it with", reader.stdout.readline().strip(), "rows")
        for start in (100, 200, 300):
            rows = rng.standard_normal((100, 16), dtype=np.float32)
            docs.upsert(ids=list(range(start, start + 100)), vectors=rows)
            reader.stdin.write("refresh\n")
            print("after a write and a refresh it sees", reader.stdout.readline().strip())
        reader.stdin.close()
