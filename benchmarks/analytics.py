"""Analytics: what do snapshots, restores and SQL take, beside the peers?

    python -m benchmarks.analytics [--rows 1000000] [--python PATH] [--passes 15]

WordNet (115,659 × 384 with text and metadata): a snapshot; a restore of it and the first search, each pass in a process of
its own that has done nothing before. LanceDB and Chroma (with --python, an interpreter that has them) have no snapshots, so
theirs is what people do: a copy of the directory, and a copy back, opened and searched, in a process of its own too. The
median and the longest of the passes are told. Then a group-by over `--rows` live rows by `Collection.sql`, and by DuckDB
over the same rows as Parquet, in turns, where the best of the passes counts.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import nearrow
from benchmarks.data import wordnet_table

QUERY = "SELECT section, count(*), avg(score), max(year) FROM docs WHERE year >= 1950 GROUP BY 1 ORDER BY 1"
SECTIONS, DIMENSION = 40, 16
PEERS = ("lancedb", "chromadb")


def seconds_of(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def snapshots(folder: Path, passes: int) -> list[list[float]]:
    """Seconds of each snapshot, and of each restore and first search."""
    with nearrow.connect(folder / "library") as db:
        words = db.create_collection("words", 384, metric="cosine", text_fields=["text"])
        words.add(wordnet_table())
        words.wait()
        taken = [seconds_of(lambda n=n: words.snapshot(folder / f"snapshot-{n}")) for n in range(passes)]
    back = []
    for n in range(passes):
        back.append(float(output_of(sys.executable, RESTORE, folder / f"snapshot-{n}", folder / "restored")))
        shutil.rmtree(folder / "restored")
    return [taken, back]


def output_of(python: str, program: str, *arguments: str | Path) -> str:
    command = [python, "-c", program, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]


RESTORE = """
import sys, time
import numpy as np
import nearrow
query = np.random.default_rng(0).standard_normal(384).astype(np.float32)
db = nearrow.connect(sys.argv[2])
began = time.perf_counter()
assert len(db.restore(sys.argv[1]).search(query, k=10)) == 10
print(time.perf_counter() - began)
"""

PEER = """
import json, shutil, sys, time
import numpy as np, pyarrow.parquet as pq
name, source, folder, turn = sys.argv[1:]
query = np.random.default_rng(0).standard_normal(384).astype(np.float32)
live, copy, back = (f"{folder}/{name}-{what}" for what in ("live", "copy", "back"))
if name == "lancedb":
    import lancedb
else:
    import chromadb

def search(path):
    if name == "lancedb":
        return lancedb.connect(path).open_table("words").search(query).limit(10).to_arrow()
    return chromadb.PersistentClient(path).get_collection("words", embedding_function=None).query([query], n_results=10)

def fill():
    rows = pq.read_table(source)
    if name == "lancedb":
        table = lancedb.connect(live).create_table("words", rows)
        table.create_index(metric="cosine", index_type="IVF_HNSW_SQ", num_partitions=1)
        return
    made = chromadb.PersistentClient(live).create_collection(
        "words", configuration={"hnsw": {"space": "cosine"}}, embedding_function=None
    )
    vectors = np.stack(rows["vector"].to_numpy(zero_copy_only=False)).astype(np.float32)
    ids, texts = rows["id"].to_pylist(), rows["text"].to_pylist()
    for start in range(0, len(ids), 5000):
        end = start + 5000
        made.add(ids=ids[start:end], embeddings=vectors[start:end], documents=texts[start:end])

if turn == "fill":
    fill()
    search(live)
    print()
else:
    began = time.perf_counter()
    shutil.copytree(live, copy)
    taken = time.perf_counter() - began
    began = time.perf_counter()
    shutil.copytree(copy, back)
    search(back)
    print(json.dumps([taken, time.perf_counter() - began]))
    shutil.rmtree(copy)
    shutil.rmtree(back)
"""


def peer(python: str, name: str, folder: Path, passes: int) -> list[list[float]]:
    """Seconds of each copy of the directory, and of each copy back and first search."""
    pq.write_table(wordnet_table(), folder / "wordnet.parquet")
    arguments = (name, folder / "wordnet.parquet", folder)
    output_of(python, PEER, *arguments, "fill")
    turns = [json.loads(output_of(python, PEER, *arguments, "copy")) for _ in range(passes)]
    return [list(seconds) for seconds in zip(*turns, strict=True)]


def group_by(folder: Path, count: int, passes: int) -> dict[str, tuple[float, float]]:
    """(wall, processor) seconds of the query over live rows and over Parquet."""
    random = np.random.default_rng(0)
    vectors = random.standard_normal(count * DIMENSION).astype(np.float32)
    names = np.array([f"section {n:02d}" for n in range(SECTIONS)])
    rows = pa.table(
        {
            "id": pa.array(range(count)),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors), DIMENSION),
            "section": names[random.integers(0, SECTIONS, count)],
            "year": random.integers(1900, 2030, count),
            "score": random.random(count),
        }
    )
    with nearrow.connect(folder / "sql") as db:
        docs = db.create_collection("docs", DIMENSION, metric="l2", graph_rows_min=2**31 - 1)
        docs.add(rows)
        docs.delete(range(0, count, 1000))
        docs.export(folder / "docs.parquet")
        connection = duckdb.connect()
        connection.execute(f"CREATE VIEW docs AS SELECT * FROM read_parquet('{folder}/docs.parquet')")
        ways: dict[str, Callable[[], pa.Table]] = {
            "live rows": lambda: docs.sql(QUERY),
            "Parquet": lambda: connection.sql(QUERY).to_arrow_table(),
        }
        answers = [way().to_pylist() for way in ways.values()]
        assert [row["section"] for row in answers[0]] == [row["section"] for row in answers[1]]
        best = dict.fromkeys(ways, (np.inf, np.inf))
        for _ in range(passes):
            for name, way in ways.items():
                began, used = time.perf_counter(), time.process_time()
                way()
                measured = (time.perf_counter() - began, time.process_time() - used)
                best[name] = (min(best[name][0], measured[0]), min(best[name][1], measured[1]))
    return best


def tell(name: str, found: list[list[float]]) -> None:
    numbers = (number for seconds in found for number in (median(seconds), max(seconds)))
    print(" | ".join([name, *(f"{number:.2f}" for number in numbers)]), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--passes", type=int, default=15)
    parser.add_argument("--python", help="an interpreter that has lancedb and chromadb")
    parser.add_argument("--only", choices=("sql", "snapshots"), help="leave out the other part")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="nearrow-analytics-"))
    try:
        if arguments.only != "snapshots":
            best = group_by(folder, arguments.rows, arguments.passes)
            print(f"group-by over {arguments.rows:,} rows | wall ms | processor ms\n---|---:|---:")
            for name, (wall, used) in best.items():
                print(f"{name} | {wall * 1e3:.1f} | {used * 1e3:.1f}")
            live, parquet = best["live rows"], best["Parquet"]
            print(f"live ÷ Parquet | {live[0] / parquet[0]:.2f} | {live[1] / parquet[1]:.2f}\n")
        if arguments.only != "sql":
            print("WordNet | snapshot s: median | longest | restore and first search s: median | longest")
            print("---|---:|---:|---:|---:")
            tell("nearrow", snapshots(folder, arguments.passes))
            for name in PEERS if arguments.python else ():
                tell(f"{name} (copies)", peer(arguments.python, name, folder, arguments.passes))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
