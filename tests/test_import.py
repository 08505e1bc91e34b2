"""Import: does `import nearrow` load only what every user needs?"""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (  # each has a place where it is imported when it is first needed
    "asyncio", "duckdb", "fastembed", "haystack", "langchain_core", "llama_index", "matplotlib", "model2vec", "pandas",
    "polars", "pyarrow.compute", "pyarrow.csv", "pyarrow.dataset", "pyarrow.flight", "pyarrow.fs", "pyarrow.parquet", "rich",
    "sentence_transformers", "torch", "typer",
)  # fmt: skip


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    program = "import sys, nearrow; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", HEAVY)
def test_it_is_not_loaded_before_it_is_needed(loaded: set[str], module: str) -> None:
    assert module not in loaded


def test_a_collection_in_memory_needs_none_of_it_either() -> None:
    program = (
        "import sys, nearrow; db = nearrow.connect(':memory:'); docs = db.create_collection('docs', 2); "
        "docs.add(ids=['a'], vectors=[[1, 2]]); assert docs.search([1, 2], k=1)[0].id == 'a'; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    there = set(done.stdout.split()) - {
        "pandas",
        "pyarrow.compute",
    }  # pyarrow itself looks for them when it makes arrays
    assert not set(HEAVY) & there
