"""Asking: one client, which searches for some seconds and says how many answers it got.

python -m benchmarks.server.asking LOCATION COLLECTION SECONDS
"""

from __future__ import annotations

import json
import sys
import time

import nearrow
from benchmarks.data import wordnet_table
from benchmarks.server.measures import float32_matrix


def main() -> None:
    location, collection, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    queries = float32_matrix(wordnet_table("queries")["vector"])
    with nearrow.connect(location) as db:
        words = db.collection(collection)
        for query in queries[:200]:
            words.search(query, columns=[])
        answers, processor, began = 0, time.process_time(), time.perf_counter()
        while time.perf_counter() - began < seconds:
            words.search(queries[answers % len(queries)], columns=[]).ids  # noqa: B018 (read when asked for)
            answers += 1
        took = time.perf_counter() - began
    print(json.dumps({"rate": answers / took, "processor": (time.process_time() - processor) / took}))


if __name__ == "__main__":
    main()
