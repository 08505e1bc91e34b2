"""Peer checks: what can each embedded peer do? Asked of the installed packages, not of their documentation.

    .venv-bench/bin/python -m benchmarks.peer_checks       every engine that this Python has, as a Markdown table

Each answer is what a call did on a few rows in a new directory: its result, or the first words of the error.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

DIMENSION = 8
ROWS = 40
VECTORS = np.random.default_rng(5).random((ROWS, DIMENSION)).astype(np.float32)
TEXTS = [f"number {row}: dogs running" for row in range(ROWS)]
IDS = [str(row) for row in range(ROWS)]

Answers = Iterator[tuple[str, str]]

FILTER = "filter"
WORDS = "words"
STEMS = "finds *running* for *run*"
BOTH = "words and vector in one query"
TEXT_IDS = "text as ids"
DELETE = "delete a row"
READER = "reader process beside the open writer"
OLDER = "an older version"


def seen(call: Callable[[], Any], expected: Callable[[Any], bool]) -> str:
    """yes: the call did what was expected; otherwise what it did."""
    try:
        result = call()
    except Exception as error:
        return refusal(str(error) or type(error).__name__)
    return "yes" if expected(result) else f"no: {str(result)[:60]}"


def refusal(message: str) -> str:
    """An engine's own words, without the folder of this run and the place in its source."""
    last = message.strip().splitlines()[-1]
    return "no: " + re.sub(r"/tmp/\S*|Error in .* at \S+: ", "", last)[:90].strip()


def only(allowed: set[str], at_least: int = 1) -> Callable[[Any], bool]:
    return lambda names: len(names) >= at_least and {str(name) for name in names} <= allowed


def in_another_process(program: str) -> str:
    """Runs `program`, which prints how many rows it sees, while this process has the database open."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        return refusal(done.stderr)
    return "yes" if done.stdout.split()[-1:] == [str(ROWS)] else f"no: {done.stdout.strip()[:60]}"


def nearrow(folder: Path) -> Answers:
    import nearrow as package

    db = package.connect(folder)
    rows = db.create_collection("rows", DIMENSION, text_fields=["text"])
    rows.add(ids=IDS, vectors=VECTORS, texts=TEXTS, metadata=[{"n": row} for row in range(ROWS)])
    late = {str(row) for row in range(30, ROWS)}
    yield FILTER, seen(lambda: rows.search(VECTORS[0], k=5, where={"n": {"$gte": 30}}).ids, only(late, 5))
    yield WORDS, seen(lambda: rows.search(text="7", k=5).ids, only({"7"}))
    yield STEMS, seen(lambda: rows.search(text="run", k=5).ids, only(set(IDS), 5))
    yield BOTH, seen(lambda: rows.search(VECTORS[0], text="7", k=5).ids, lambda ids: {"0", "7"} <= set(ids))
    yield TEXT_IDS, seen(lambda: rows.upsert(ids=["a b"], vectors=VECTORS[:1]), lambda _: "a b" in rows)
    yield DELETE, seen(lambda: rows.delete(ids=["a b"]), lambda _: "a b" not in rows)
    reader = f"import nearrow; print(len(nearrow.connect({str(folder)!r}, read_only=True).collection('rows')))"
    yield READER, in_another_process(reader)
    yield OLDER, "by `snapshot` only"


def chromadb(folder: Path) -> Answers:
    import chromadb as package

    client = package.PersistentClient(str(folder))
    rows = client.create_collection("rows", embedding_function=None)
    numbers = [{"n": row} for row in range(ROWS)]
    rows.add(ids=IDS, embeddings=VECTORS.tolist(), metadatas=numbers, documents=TEXTS)
    query = VECTORS[:1].tolist()
    late = {str(row) for row in range(30, ROWS)}

    def found(**options: Any) -> Any:
        return rows.query(query_embeddings=query, n_results=5, **options)["ids"][0]

    yield FILTER, seen(lambda: found(where={"n": {"$gte": 30}}), only(late, 5))
    parts = seen(lambda: found(where_document={"$contains": "number 7"}), only({"7"}))
    yield WORDS, f"as a filter, `$contains` and `$regex`: {parts}; not ranked"
    yield STEMS, seen(lambda: found(where_document={"$contains": "run dog"}), only(set(IDS), 5))
    yield BOTH, seen(lambda: rows.search(package.Search().rank(package.Knn(query=query[0]))), bool)
    yield TEXT_IDS, seen(lambda: rows.add(ids=["a b"], embeddings=query), lambda _: rows.count() == ROWS + 1)
    yield DELETE, seen(lambda: rows.delete(ids=["a b"]), lambda _: rows.count() == ROWS)
    yield (
        READER,
        in_another_process(
            f"import chromadb; print(chromadb.PersistentClient({str(folder)!r}).get_collection('rows').count())"
        ),
    )
    yield OLDER, "no such verb" if not hasattr(rows, "checkout") else "yes"


def lancedb(folder: Path) -> Answers:
    import lancedb as package
    import pyarrow as pa

    vectors = pa.FixedSizeListArray.from_arrays(VECTORS.reshape(-1), DIMENSION)
    table = pa.table({"id": IDS, "n": range(ROWS), "text": TEXTS, "vector": vectors})
    rows = package.connect(folder).create_table("rows", table)
    rows.create_index("text", config=package.index.FTS())
    late = {str(row) for row in range(30, ROWS)}

    def ids(query: Any) -> Any:
        return [row["id"] for row in query.limit(5).to_list()]

    def words(text: Any) -> Any:
        return ids(rows.search(text, query_type="fts"))

    def both() -> Any:
        return ids(rows.search(query_type="hybrid").vector(VECTORS[0]).text("7"))

    yield FILTER, seen(lambda: ids(rows.search(VECTORS[0]).where("n >= 30")), only(late, 5))
    yield WORDS, seen(lambda: words("7"), only({"7"}))
    yield STEMS, seen(lambda: words("run"), only(set(IDS), 5))
    yield BOTH, seen(both, lambda found: {"0", "7"} <= set(found))
    yield TEXT_IDS, "any column"
    version = rows.version
    yield DELETE, seen(lambda: rows.delete("id = '7'"), lambda _: rows.count_rows() == ROWS - 1)
    yield OLDER, seen(lambda: rows.checkout(version), lambda _: rows.count_rows() == ROWS)
    rows.restore()
    yield (
        READER,
        in_another_process(f"import lancedb; print(lancedb.connect({str(folder)!r}).open_table('rows').count_rows())"),
    )


def zvec(folder: Path) -> Answers:
    import zvec as package

    graph = package.HnswIndexParam(metric_type=package.MetricType.L2)
    fields = [
        package.FieldSchema("text", package.DataType.STRING, index_param=package.FtsIndexParam()),
        package.FieldSchema("n", package.DataType.INT32),
    ]
    vector = package.VectorSchema("vector", package.DataType.VECTOR_FP32, DIMENSION, index_param=graph)
    schema = package.CollectionSchema(name="rows", fields=fields, vectors=vector)
    rows = package.create_and_open(path=str(folder / "rows"), schema=schema)

    def made(name: str, row: int) -> Any:
        return package.Doc(id=name, vectors={"vector": VECTORS[row].tolist()}, fields={"text": TEXTS[row], "n": row})

    rows.insert([made(name, row) for row, name in enumerate(IDS)])
    near = package.Query(field_name="vector", vector=VECTORS[0].tolist())

    def word(text: Any) -> Any:
        return package.Query(field_name="text", fts=package.Fts(match_string=text))

    def ids(query: Any, **options: Any) -> Any:
        return [row.id for row in rows.query(query, topk=5, **options)]

    late = {str(row) for row in range(30, ROWS)}
    yield FILTER, seen(lambda: ids(near, filter="n >= 30"), only(late, 5))
    yield WORDS, seen(lambda: ids(word("7")), only({"7"}))
    yield STEMS, seen(lambda: ids(word("run")), only(set(IDS), 5))

    def fused() -> Any:
        return ids([word("7"), near], reranker=package.RrfReRanker())

    yield BOTH, seen(fused, lambda found: {"0", "7"} <= set(found))
    yield TEXT_IDS, seen(lambda: rows.insert(made("a b", 0)), lambda _: "a b" in rows.fetch("a b"))
    yield DELETE, seen(lambda: rows.delete("7"), lambda _: "7" not in rows.fetch("7"))
    rows.flush()
    read_only = f"zvec.open({str(folder / 'rows')!r}, zvec.CollectionOption(read_only=True))"
    yield READER, in_another_process(f"import zvec; print({read_only}.stats.doc_count)")
    yield OLDER, "no such verb" if not hasattr(rows, "checkout") else "yes"


def qdrant_edge(folder: Path) -> Answers:
    import qdrant_edge as package

    graph = package.EdgeVectorParams(size=DIMENSION, distance=package.Distance.Euclid)
    sparse = package.EdgeSparseVectorParams(modifier=package.Modifier.Idf)
    config = package.EdgeConfig(vectors={"vector": graph}, sparse_vectors={"words": sparse})
    shard = package.EdgeShard.create(str(folder), config)
    bm25 = package.Bm25(package.Bm25Config())

    def made(name: int | str, row: int) -> Any:
        return package.Point(
            name, {"vector": VECTORS[row].tolist(), "words": bm25.embed_document(TEXTS[row])}, {"n": row}
        )

    def put(points: Any) -> Any:
        return shard.update(package.UpdateOperation.upsert_points(points))

    put([made(row, row) for row in range(ROWS)])
    near = package.Query.Nearest(VECTORS[0].tolist(), using="vector")

    def word(text: Any) -> Any:
        return package.Query.Nearest(bm25.embed_query(text), using="words")

    def ids(**request: Any) -> Any:
        return [hit.id for hit in shard.query(package.QueryRequest(limit=5, **request))]

    condition = package.FieldCondition("n", range=package.RangeFloat(gte=30.0))
    late = {str(row) for row in range(30, ROWS)}
    yield FILTER, seen(lambda: ids(query=near, filter=package.Filter(must=[condition])), only(late, 5))
    yield WORDS, seen(lambda: ids(query=word("7")), only({"7"}))
    yield STEMS, seen(lambda: ids(query=word("run")), only(set(IDS), 5))
    sides = [package.Prefetch(limit=5, query=word("7")), package.Prefetch(limit=5, query=near)]

    def fused() -> Any:
        return ids(prefetches=sides, query=package.Fusion.Rrf(k=60))

    yield BOTH, seen(fused, lambda found: {0, 7} <= set(found))
    yield TEXT_IDS, seen(lambda: put([made("a b", 0)]), lambda _: True)
    gone = package.UpdateOperation.delete_points([7])
    yield DELETE, seen(lambda: shard.update(gone), lambda _: 7 not in ids(query=word("7")))
    shard.flush()
    again = f"qdrant_edge.EdgeShard.load({str(folder)!r})"
    yield READER, in_another_process(f"import qdrant_edge; print({again}.info().points_count)")
    yield OLDER, "no such verb" if not hasattr(shard, "checkout") else "yes"


def hnswlib(folder: Path) -> Answers:
    import hnswlib as package

    index = package.Index("l2", DIMENSION)
    index.init_index(ROWS)
    index.add_items(VECTORS)
    late = {str(row) for row in range(30, ROWS)}
    index.set_ef(ROWS)
    yield FILTER, seen(lambda: index.knn_query(VECTORS[:1], 5, filter=lambda row: row >= 30)[0][0], only(late, 5))
    yield WORDS, "an index of vectors"
    yield TEXT_IDS, seen(lambda: index.add_items(VECTORS[:1], ids=["a b"]), lambda _: True)
    yield DELETE, seen(lambda: index.mark_deleted(7), lambda _: 7 not in index.knn_query(VECTORS[7:8], 1)[0])


def faiss(folder: Path) -> Answers:
    import faiss as package

    index = package.IndexHNSWFlat(DIMENSION, 16)
    index.add(VECTORS)
    late = {str(row) for row in range(30, ROWS)}
    chosen = package.SearchParametersHNSW(sel=package.IDSelectorRange(30, ROWS), efSearch=ROWS)
    yield FILTER, seen(lambda: index.search(VECTORS[:1], 5, params=chosen)[1][0], only(late, 5))
    yield WORDS, "an index of vectors"
    named = package.IndexIDMap(package.IndexHNSWFlat(DIMENSION, 16))
    yield TEXT_IDS, seen(lambda: named.add_with_ids(VECTORS[:1], np.array(["a b"])), lambda _: True)
    yield DELETE, f"HNSW {seen(lambda: index.remove_ids(np.array([7])), bool)}"


ENGINES: dict[str, Callable[[Path], Answers]] = {
    "nearrow": nearrow,
    "chromadb": chromadb,
    "lancedb": lancedb,
    "zvec": zvec,
    "qdrant-edge-py": qdrant_edge,
    "hnswlib": hnswlib,
    "faiss-cpu": faiss,
}
QUESTIONS = (FILTER, WORDS, STEMS, BOTH, TEXT_IDS, DELETE, READER, OLDER)


def answers() -> dict[str, dict[str, str]]:
    """What every engine that is here answered, by its name and version."""
    found = {}
    for name, check in ENGINES.items():
        if importlib.util.find_spec(check.__name__) is not None:
            with tempfile.TemporaryDirectory(prefix="nearrow-peer-") as folder:
                found[f"{name} {importlib.metadata.version(name)}"] = dict(check(Path(folder)))
    return found


def table(found: dict[str, dict[str, str]]) -> str:
    rows = [["", *found], ["---"] * (len(found) + 1)]
    rows += [[question, *(one.get(question, "–") for one in found.values())] for question in QUESTIONS]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    print(table(answers()))
