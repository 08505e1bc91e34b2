"""HNSW: are searches among some of the rows complete and good, whichever rows pass?"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sheets import draw, recall

from nearrow.errors import InvalidArgumentError
from nearrow.index.hnsw import HnswIndex, Vectors, flat_search


@pytest.mark.parametrize("share", [0.0005, 0.01, 0.05, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["uncorrelated", "near", "far"])
def test_filtered_search(share: float, kind: str) -> None:
    rows, queries = draw(20000, 24), draw(30, 24, seed=1)
    index = _shared_index(rows)
    count = max(3, int(share * len(rows)))
    if kind == "uncorrelated":
        chosen = np.random.default_rng(0).choice(len(rows), count, replace=False)
    else:
        direction = rows[3] - rows.mean(0)
        order = np.argsort(rows @ direction)[::-1]
        chosen = order[:count]
        # Queries on the filter's side, or away from it.
        side = np.argsort(queries @ direction)
        queries = queries[side[-10:] if kind == "near" else side[:10]]
    mask = np.zeros(len(rows), bool)
    mask[chosen] = True
    true, _, counts = flat_search(Vectors(rows), "l2", queries, 10, accept=np.packbits(mask, bitorder="little"))
    ids, _ = index.search(queries, 10, accept=mask)
    assert ((ids >= 0).sum(1) == counts).all()
    assert (counts == min(10, count)).all()
    assert mask[ids[ids >= 0]].all()
    assert recall(ids, true[:, : counts[0]]) >= 0.9


_INDEXES: dict[int, HnswIndex] = {}


def _shared_index(rows: np.ndarray) -> HnswIndex:
    if len(rows) not in _INDEXES:
        _INDEXES[len(rows)] = HnswIndex.build(rows, "l2")
    return _INDEXES[len(rows)]


def test_filters_in_every_form() -> None:
    index = HnswIndex.build(draw(200, 8), "l2")
    query = draw(1, 8, seed=1)[0]
    mask = np.zeros(200, bool)
    mask[::7] = True
    forms = [mask, np.packbits(mask, bitorder="little"), pa.array(mask), pa.chunked_array([pa.array(mask)])]
    results = {tuple(index.search(query, 5, accept=form)[0].tolist()) for form in forms}
    assert len(results) == 1
    assert index.search(query, 5, accept=np.zeros(200, bool))[0].size == 0
    with pytest.raises(InvalidArgumentError):
        index.search(query, 5, accept=mask[:100])
    with pytest.raises(InvalidArgumentError):
        index.search(query, 5, accept=np.zeros(3, np.uint8))
