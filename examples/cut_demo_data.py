"""Which 10,000 WordNet rows does the demo index, and how were they chosen?

    python examples/cut_demo_data.py ../shared/data/wordnet

reads `base.parquet` and `queries.parquet` (115,659 + 2,000 WordNet 3.0 synsets with all-MiniLM-L6-v2 vectors) and
writes

    examples/data/          10,000 rows, float16 vectors: what `make demo` indexes
    src/nearrow/cli/data/    1,500 rows: what `nearrow demo` falls back to when it runs outside a checkout

each as `rows.parquet` and `queries.parquet`, with the WordNet licence beside it. The queries are *held out*: their
synsets are not among the rows. The first twelve (`shown`) are words that the demo asks for by name; the others only
measure speed and recall. A row is kept if it is among the nearest of a query; the rest is a seeded sample spread
over the lexicographer files, which prefers everyday words (glosses with an example sentence or several lemmas) to
names and Latin genera.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

PROJECT = Path(__file__).resolve().parent.parent
LICENCE = PROJECT / "examples" / "data" / "LICENSE-WORDNET.txt"
SHOWN = {  # the synset ids of the words that the demo asks for
    "astronomer": "n09818343",
    "violin": "n04536866",
    "thunderstorm": "n11519253",
    "pelican": "n02051845",
    "doughnut": "n07639069",
    "decipher": "v00626148",
    "knitting": "n00909471",
    "calculus": "n06013741",
    "rejoice": "v01813902",
    "rosemary": "n07820145",
    "blackout": "n07422506",
    "starship": "n04304215",
}
COLUMNS = ["id", "pos", "lexname", "lemmas", "text", "n_words", "vector"]


def unit_vectors(table: pa.Table) -> np.ndarray:
    """The vectors of `table` as a float32 array [rows, dimensions]."""
    flat = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return flat.astype(np.float32).reshape(len(table), -1)


def everyday_weights(table: pa.Table) -> np.ndarray:
    """How likely each row is to be sampled: example sentences and synonyms mark words that people know."""
    has_example = pc.match_substring(table["text"], '"').to_numpy(zero_copy_only=False)
    has_synonym = pc.greater(pc.list_value_length(table["lemmas"]), 1).to_numpy(zero_copy_only=False)
    first_lemma = pc.list_element(table["lemmas"], 0)
    is_name = pc.match_substring_regex(first_lemma, "^[A-Z]").to_numpy(zero_copy_only=False)
    weights = 1.0 + 4.0 * has_example + 2.0 * has_synonym
    return np.where(is_name, 0.2 * weights, weights)


def spread(table: pa.Table, count: int, nearest: np.ndarray, seed: int) -> np.ndarray:
    """Positions of `count` rows: all of `nearest`, then a sample in which big groups do not crowd out small ones."""
    _, group = np.unique(table["lexname"].to_numpy(zero_copy_only=False), return_inverse=True)
    weights = everyday_weights(table) / np.sqrt(np.bincount(group))[group]
    weights[nearest] = 0.0
    sample = np.random.default_rng(seed).choice(
        len(table), size=count - len(nearest), replace=False, p=weights / weights.sum()
    )
    return np.sort(np.concatenate([nearest, sample]))


def write_set(folder: Path, rows: pa.Table, queries: pa.Table) -> None:
    """Write one demo set: rows, queries and the licence that must travel with them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in (("rows", rows), ("queries", queries)):
        pq.write_table(
            table,
            folder / f"{name}.parquet",
            compression="zstd",
            compression_level=19,
            use_dictionary=["pos", "lexname"],
        )
    if folder != LICENCE.parent:
        shutil.copy(LICENCE, folder / LICENCE.name)
    for file in sorted(folder.iterdir()):
        print(f"{file.stat().st_size:>10,} B  {file.relative_to(PROJECT)}")


def main(source: Path) -> None:
    base = pq.read_table(source / "base.parquet", columns=COLUMNS)
    spare = pq.read_table(source / "queries.parquet", columns=[name for name in COLUMNS if name != "n_words"])
    everything = pa.concat_tables([base.drop(["n_words"]), spare])

    wanted = pa.array(list(SHOWN.values()))
    shown = everything.take(pc.index_in(wanted, everything["id"].combine_chunks()))
    others = spare.filter(pc.invert(pc.is_in(spare["id"], wanted))).slice(0, 188)
    queries = pa.concat_tables([shown, others])
    words = list(SHOWN) + [lemmas[0] for lemmas in others["lemmas"].to_pylist()]
    queries = queries.add_column(0, "word", pa.array(words)).append_column(
        "shown", pa.array([i < 12 for i in range(200)])
    )

    rows = base.filter(pc.invert(pc.is_in(base["id"], wanted)))
    order = np.argsort(-(unit_vectors(queries) @ unit_vectors(rows).T), axis=1)
    near_shown, near_others = np.unique(order[:12, :40]), np.unique(order[12:, :10])
    large = spread(rows, 10_000, np.union1d(near_shown, near_others), seed=1)
    small = spread(rows, 1_500, near_shown, seed=1)
    write_set(PROJECT / "examples" / "data", rows.take(pa.array(large)), queries)
    write_set(PROJECT / "src" / "nearrow" / "cli" / "data", rows.take(pa.array(small)), queries)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
