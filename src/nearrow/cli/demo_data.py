"""Demo data: which real rows does the demo index, and where are they?

10,000 WordNet glosses lie in the checkout's `examples/data`; 1,500 of them are shipped inside the package, so that
the demo also runs where there is no checkout.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nearrow.errors import NotFoundError

BUNDLED = Path(__file__).parent / "data"


@dataclass(frozen=True)
class DemoSet:
    """Rows to index, and held-out queries: float32 [queries, dimensions], their words, how many are for show."""

    folder: Path
    rows: pa.Table
    vectors: np.ndarray[Any, np.dtype[np.float32]]
    words: tuple[str, ...]
    shown: int

    @property
    def dimension(self) -> int:
        return int(self.vectors.shape[1])


def find_folder(asked: Path | None) -> Path:
    """The folder asked for; else examples/data of the checkout that we run in; else the small set in the package."""
    if asked is not None:
        if not (asked / "rows.parquet").exists():
            raise NotFoundError(f"{asked} has no rows.parquet; give a folder like examples/data of the source tree")
        return asked
    checkouts = (Path.cwd(), Path(__file__).resolve().parents[3])
    folders = (root / "examples" / "data" for root in checkouts if (root / "src" / "nearrow").is_dir())
    return next((folder for folder in folders if (folder / "rows.parquet").exists()), BUNDLED)


def load(folder: Path) -> DemoSet:
    """Read a demo set, with float32 query vectors."""
    queries = pq.read_table(folder / "queries.parquet")
    flat = queries["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return DemoSet(
        folder=folder,
        rows=pq.read_table(folder / "rows.parquet"),
        vectors=flat.astype(np.float32).reshape(len(queries), -1),
        words=tuple(queries["word"].to_pylist()),
        shown=sum(queries["shown"].to_pylist()),
    )
