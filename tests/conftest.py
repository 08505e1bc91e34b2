"""Fixtures: which real rows do the tests use, and how hard does Hypothesis look?

The data lies beside the project in `../shared/data` (or where NEARROW_DATA says). A small slice of WordNet is also
in the project itself, so most tests run without it; a test that needs more is skipped with a message that says what
is missing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, settings

from real_data import DATA, PROJECT, data_file, first_rows, float32_matrix, with_float32_vectors

SMALL_ROWS = 2_000

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, database=None)
settings.register_profile("long", settings.get_profile("default"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "default"))


@dataclass(frozen=True)
class LabelledVectors:
    """Vectors, held-out queries, and the nearest rows of each: base [n, d], queries [q, d], neighbors [q, 100]."""

    base: np.ndarray
    queries: np.ndarray
    neighbors: np.ndarray


@pytest.fixture(scope="session")
def wordnet_small() -> pa.Table:
    """2,000 WordNet rows: id, pos, lexname, lemmas, text, n_words, vector (float32, 384 dimensions, unit length)."""
    path = DATA / "wordnet" / "base.parquet"
    if not path.exists():
        path = PROJECT / "examples" / "data" / "rows.parquet"
    return with_float32_vectors(first_rows(path, SMALL_ROWS))


@pytest.fixture(scope="session")
def wordnet_vectors(wordnet_small: pa.Table) -> np.ndarray:
    """The vectors of `wordnet_small`: float32 [2000, 384]."""
    return float32_matrix(wordnet_small)


@pytest.fixture(scope="session")
def wordnet_queries() -> np.ndarray:
    """200 held-out WordNet vectors: float32 [200, 384]."""
    return float32_matrix(pq.read_table(PROJECT / "examples" / "data" / "queries.parquet", columns=["vector"]))


@pytest.fixture(scope="session")
def wordnet_10k() -> pa.Table:
    """The demo's 10,000 WordNet rows, float32."""
    return with_float32_vectors(pq.read_table(PROJECT / "examples" / "data" / "rows.parquet"))


@pytest.fixture(scope="session")
def wordnet_full() -> pa.Table:
    """All 115,659 WordNet rows, float32: for tests that are marked slow."""
    return with_float32_vectors(pq.read_table(data_file("wordnet/base.parquet")))


@pytest.fixture(scope="session")
def wordnet_labelled(wordnet_full: pa.Table) -> LabelledVectors:
    """All of WordNet with 2,000 queries and their exact neighbours by cosine."""
    queries = pq.read_table(data_file("wordnet/queries.parquet"))
    neighbors = queries["neighbors"].combine_chunks().flatten().to_numpy().reshape(len(queries), -1)
    return LabelledVectors(float32_matrix(wordnet_full), float32_matrix(queries), neighbors)


@pytest.fixture(scope="session")
def fashion() -> LabelledVectors:
    """Fashion-MNIST, 60,000 × 784 float32, with 2,000 queries and their exact neighbours by l2."""
    with np.load(data_file("fashion-mnist/fashion-mnist.npz")) as arrays:
        return LabelledVectors(
            arrays["base"].astype(np.float32), arrays["queries"].astype(np.float32), arrays["neighbors"]
        )


@pytest.fixture(scope="session")
def cranfield_docs() -> pa.Table:
    """1,400 abstracts with text and float32 vectors."""
    return with_float32_vectors(pq.read_table(data_file("cranfield/docs.parquet")))


@pytest.fixture(scope="session")
def cranfield_queries() -> pa.Table:
    """225 queries with text and float32 vectors."""
    return with_float32_vectors(pq.read_table(data_file("cranfield/queries.parquet")))
