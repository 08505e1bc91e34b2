"""Relevance: how well do vectors, words and their fusions rank what people judged relevant?

    python -m benchmarks.relevance [folder] [--depth 100] [--language english] [--markdown file]

The folder holds docs.parquet (id, vector, and string columns of which `title` and `text` are searched, if there),
queries.parquet (id, text, vector) and qrels.tsv (header, then query_id, doc_id, relevance, …; larger is better). Any
set of that shape runs as it is; the default is Cranfield. Vectors are compared exactly, so that the figures speak of
ranking and not of recall; queries are sentences, so signs in them are no operators. Nothing is tuned to the judgements:
weights, k and depth are the library's defaults.

Measure: graded nDCG@10 with the relevance as gain and the logarithmic discount (Järvelin, Kekäläinen, 2002), averaged
over the queries that have a judgement; and recall@100 of each list.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.data import data_folder
from nearrow.index.text import TextField, TextIndex, TextQuery
from nearrow.query.fusion import RRF, Fusion, Max, Min, Weighted, fuse
from nearrow.query.ranking import Ranking, similarity
from nearrow.schema.config import TextSettings

CUTOFF = 10
FUSIONS: dict[str, Fusion] = {
    "rrf": RRF(),
    "rrf(k=20)": RRF(20),
    "weighted 0.7/0.3 min-max": Weighted(),
    "weighted 0.7/0.3 z": Weighted(normalise="z"),
    "average min-max": Weighted(0.5, 0.5),
    "average z": Weighted(0.5, 0.5, "z"),
    "max": Max(),
    "min": Min(),
}


@dataclass(frozen=True)
class Judged:
    """A test collection: rows are positions in docs.parquet."""

    texts: pa.Array
    vectors: np.ndarray
    queries: Sequence[TextQuery]
    query_vectors: np.ndarray
    judgements: Sequence[Mapping[int, float]]


def read_folder(folder: Path) -> Judged:
    docs, queries = (pq.read_table(folder / name) for name in ("docs.parquet", "queries.parquet"))
    parts = [docs[name].combine_chunks().fill_null("") for name in ("title", "text") if name in docs.column_names]
    position = {str(value): row for row, value in enumerate(docs["id"].to_pylist())}
    by_query: dict[str, dict[int, float]] = {}
    with (folder / "qrels.tsv").open(newline="") as file:
        for line in csv.DictReader(file, delimiter="\t"):
            if line["doc_id"] in position and float(line["relevance"]) > 0:
                by_query.setdefault(line["query_id"], {})[position[line["doc_id"]]] = float(line["relevance"])
    judged = [row for row, value in enumerate(queries["id"].to_pylist()) if str(value) in by_query]
    queries = queries.take(judged)
    return Judged(
        pc.binary_join_element_wise(*parts, " "),
        unit(matrix(docs)),
        [TextQuery.plain(text) for text in queries["text"].to_pylist()],
        unit(matrix(queries)),
        [by_query[str(value)] for value in queries["id"].to_pylist()],
    )


def matrix(table: pa.Table) -> np.ndarray:
    flat = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return flat.astype(np.float32).reshape(len(table), -1)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)


def ndcg(rows: Sequence[int], relevant: Mapping[int, float], cutoff: int = CUTOFF) -> float:
    """Graded nDCG: the relevances found, discounted by rank, relative to the best order."""
    discount = 1.0 / np.log2(np.arange(2, cutoff + 2))
    gained = [relevant.get(row, 0.0) for row in rows[:cutoff]]
    ideal = sorted(relevant.values(), reverse=True)[:cutoff]
    return float(np.dot(gained, discount[: len(gained)]) / np.dot(ideal, discount[: len(ideal)]))


def recall(rows: Sequence[int], relevant: Mapping[int, float]) -> float:
    return len(set(rows[:100]) & set(relevant)) / len(relevant)


class Sides:
    """Both searches over one collection: exact cosine by NumPy, BM25 by the text index."""

    def __init__(self, judged: Judged, language: str | None) -> None:
        self.judged = judged
        self.index = TextIndex.open(None, [TextField("text", TextSettings(stemmer=language))])
        self.index.add(np.arange(len(judged.texts), dtype=np.uint64), {"text": judged.texts})
        self.index.commit(len(judged.texts))

    def vector(self, query: int, depth: int) -> Ranking:
        distances = 1.0 - self.judged.vectors @ self.judged.query_vectors[query]
        scores = similarity(distances, "cosine")
        order = np.argsort(-scores, kind="stable")[:depth].astype(np.uint64)
        return Ranking(
            order, scores[order.astype(np.int64)], lambda rows: scores[rows.astype(np.int64)], depth >= len(scores)
        )

    def text(self, query: int, depth: int) -> Ranking:
        words = self.judged.queries[query]
        rows, scores = self.index.search(words, depth)
        return Ranking(rows, scores, lambda missing: self.index.scores_of(words, missing), len(rows) < depth)


def evaluate(judged: Judged, depth: int, language: str | None) -> dict[str, tuple[float, float, float]]:
    """nDCG@10, recall@100 and milliseconds per query of each way to rank."""
    sides = Sides(judged, language)
    ways: dict[str, Callable[[int], np.ndarray]] = {
        "vector only": lambda query: sides.vector(query, depth).rows,
        "BM25 only": lambda query: sides.text(query, depth).rows,
    }
    for name, fusion in FUSIONS.items():
        ways[name] = lambda query, fusion=fusion: (
            fuse(sides.vector(query, depth), sides.text(query, depth), fusion, depth).rows
        )
    results: dict[str, tuple[float, float, float]] = {}
    for name, way in ways.items():
        began = time.perf_counter()
        ranked = [way(query).astype(np.int64).tolist() for query in range(len(judged.queries))]
        milliseconds = (time.perf_counter() - began) * 1e3 / len(ranked)
        pairs = list(zip(ranked, judged.judgements, strict=True))
        results[name] = (
            float(np.mean([ndcg(*pair) for pair in pairs])),
            float(np.mean([recall(*pair) for pair in pairs])),
            milliseconds,
        )
    return results


def table(results: Mapping[str, tuple[float, float, float]], title: str) -> str:
    lines = [f"### {title}", "", "| ranking | nDCG@10 | recall@100 | ms per query |", "|---|---|---|---|"]
    lines += [f"| {name} | {gain:.4f} | {found:.3f} | {ms:.2f} |" for name, (gain, found, ms) in results.items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=data_folder() / "cranfield")
    parser.add_argument("--depth", type=int, default=100, help="how many rows each side brings")
    parser.add_argument("--language", default="english", help='the stemmer; "none" for none')
    parser.add_argument("--markdown", type=Path, help="write the table here, too")
    asked = parser.parse_args()
    judged = read_folder(asked.folder)
    results = evaluate(judged, asked.depth, None if asked.language == "none" else asked.language)
    count = f"{len(judged.texts):,} documents, {len(judged.queries)} judged queries, {asked.depth} deep"
    text = table(results, f"{asked.folder.name}: {count}, stemmer {asked.language}")
    print(text)
    if asked.markdown:
        asked.markdown.write_text(text + "\n")


if __name__ == "__main__":
    main()
