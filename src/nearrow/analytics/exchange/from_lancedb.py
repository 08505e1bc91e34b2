"""LanceDB: which rows does a table in one of its directories hold?"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow as pa

from nearrow.analytics.exchange.files import find_vector_column, fixed_vectors
from nearrow.analytics.exchange.incoming import Incoming, chosen_table

METRICS = ("l2", "cosine", "dot")


def read(path: Path, table: str | None) -> Incoming:
    """Every column; without a column "id", rows are numbered. The metric is that of the table's vector index, if any."""
    database = import_module("lancedb").connect(str(path))
    names = sorted(folder.name.removesuffix(".lance") for folder in path.glob("*.lance"))
    opened = database.open_table(chosen_table(names, table, path))
    rows: pa.Table = opened.to_arrow().combine_chunks()
    vector = find_vector_column(rows.schema, path)
    place = rows.schema.get_field_index(vector)
    column = rows.column(place)
    fixed = pa.chunked_array([fixed_vectors(chunk) for chunk in column.chunks])
    rows = rows.set_column(place, "vector", fixed)
    if "id" not in rows.column_names:
        rows = rows.add_column(0, "id", pa.array(np.arange(rows.num_rows)))
    metric = None
    for index in opened.list_indices():
        kind = getattr(opened.index_stats(index.name), "distance_type", None)
        metric = metric or (kind if kind in METRICS else None)
    return Incoming(rows.to_reader(), fixed.type.list_size, rows.num_rows, metric)
