"""Relevance: how well do vectors, words and their fusions rank what people judged relevant?

    python -m benchmarks.relevance [folder] [--language german] [--markdown file]

The folder holds docs.parquet (id, vector, and string columns of which `title` and `text` are searched, if there),
queries.parquet (id, text, vector) and qrels.tsv (header, then query_id, doc_id, relevance, …; larger is better). Any
set of that shape runs as it is; the default is Cranfield. Vectors are compared exactly, so that the figures speak of
ranking and not of recall; queries are sentences, so signs in them are no operators. Nothing is tuned to the judgements:
language, weights and k are the library's defaults.

Measure: graded nDCG@10 with the relevance as gain and the logarithmic discount (Järvelin, Kekäläinen, 2002), averaged
over the queries that have a judgement.
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

import nearrow
from benchmarks.data import data_folder
from nearrow.index.text import TextQuery
from nearrow.query.fusion import RRF, Fusion, Max, Min, Weighted
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


def evaluate(judged: Judged, language: str | None) -> dict[str, tuple[float, float]]:
    """nDCG@10 and milliseconds per query of each way to rank, all through the public API."""
    with nearrow.connect(":memory:") as db:
        docs = db.create_collection(
            "docs",
            dimension=judged.vectors.shape[1],
            text_fields=["text"],
            text_settings={"text": TextSettings(stemmer=language)},
        )
        docs.add(ids=np.arange(len(judged.texts)), vectors=judged.vectors, texts=judged.texts.to_pylist())
        docs.flush()
        docs.wait()
        ways: dict[str, Callable[[int], nearrow.Hits]] = {
            "vector only": lambda query: docs.search(judged.query_vectors[query], k=CUTOFF, exact=True, columns=[]),
            "BM25 only": lambda query: docs.search(text=judged.queries[query], k=CUTOFF, columns=[]),
        }
        for name, fusion in FUSIONS.items():
            ways[name] = lambda query, fusion=fusion: docs.search(
                judged.query_vectors[query], text=judged.queries[query], fusion=fusion, k=CUTOFF, exact=True, columns=[]
            )
        return {name: _measured(way, judged.judgements) for name, way in ways.items()}


def _measured(way: Callable[[int], nearrow.Hits], judgements: Sequence[Mapping[int, float]]) -> tuple[float, float]:
    way(0)
    began = time.perf_counter()
    ranked = [way(query).ids.tolist() for query in range(len(judgements))]
    milliseconds = (time.perf_counter() - began) * 1e3 / len(ranked)
    return float(np.mean([ndcg(*pair) for pair in zip(ranked, judgements, strict=True)])), milliseconds


def table(results: Mapping[str, tuple[float, float]], title: str) -> str:
    lines = [f"### {title}", "", "| ranking | nDCG@10 | ms per query |", "|---|---|---|"]
    lines += [f"| {name} | {gain:.4f} | {ms:.2f} |" for name, (gain, ms) in results.items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=data_folder() / "cranfield")
    parser.add_argument("--language", default=TextSettings().stemmer, help='the stemmer; "none" for none')
    parser.add_argument("--markdown", type=Path, help="write the table here, too")
    asked = parser.parse_args()
    judged = read_folder(asked.folder)
    results = evaluate(judged, None if asked.language == "none" else asked.language)
    count = f"{len(judged.texts):,} documents, {len(judged.queries)} judged queries"
    text = table(results, f"{asked.folder.name}: {count}, stemmer {asked.language}")
    print(text)
    if asked.markdown:
        asked.markdown.write_text(text + "\n")


if __name__ == "__main__":
    main()
