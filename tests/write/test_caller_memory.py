"""Caller's memory: can rows change after they were written, because the caller's arrays do?"""

from __future__ import annotations

import numpy as np

import nearrow


def test_rows_do_not_change_with_the_arrays_they_came_from() -> None:
    vectors = np.array([[1, 0], [0, 1]], np.float32)
    with nearrow.connect(":memory:") as database:
        rows = database.create_collection("rows", dimension=2, metric="l2")
        rows.upsert(ids=["a", "b"], vectors=vectors)
        vectors[:] = 7
        assert rows.get(["a", "b"])["vector"].to_pylist() == [[1, 0], [0, 1]]
        assert rows.search(np.array([1, 0], np.float32), k=1).distances[0] == 0
