"""Query bytes: does a query give the same answer wherever its bytes lie, and however NumPy names its type?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nearrow


@pytest.mark.parametrize("offset", [0, 1, 2, 3])
@pytest.mark.parametrize("kind", ["<f4", "=f4", ">f4"])
def test_a_query_cut_out_of_a_message_is_as_good_as_any(
    tmp_path: Path, wordnet_vectors: np.ndarray, kind: str, offset: int
) -> None:
    rows, query = wordnet_vectors[:300], wordnet_vectors[300]
    message = bytes(offset) + query.astype(kind).tobytes()
    cut_out = np.frombuffer(memoryview(message)[offset:], np.dtype(kind).newbyteorder(kind[0]))
    with nearrow.connect(tmp_path) as database:
        docs = database.create_collection("docs", 384, graph_rows_min=16)
        docs.add(ids=[str(row) for row in range(300)], vectors=rows)
        docs.compact()
        assert docs.search(cut_out).ids.tolist() == docs.search(query).ids.tolist()
    index = nearrow.HnswIndex.build(rows)
    assert index.search(cut_out)[0].tolist() == index.search(query)[0].tolist()
