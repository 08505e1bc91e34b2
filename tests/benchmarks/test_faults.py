"""Faults: does the comparison see what a database has lost, and what it has not?"""

from __future__ import annotations

import sys

import pytest
from benchmarks.faults.batches import GROUPS, ROWS, Promise, batch, found_in
from benchmarks.faults.crashes import kill
from benchmarks.faults.stores import STORES

DELETING = 14  # the batch that deletes group 4


def promise_after(batches: int) -> Promise:
    promise = Promise()
    for number in range(1, batches + 1):
        promise.acknowledge(number)
    return promise


def rows_after(batches: int) -> dict[int, object]:
    rows: dict[int, object] = {}
    for number in range(1, batches + 1):
        made = batch(number)
        for name, vector in zip(made.ids, made.vectors, strict=True):
            rows[name] = vector
            if made.delete:
                del rows[name]
    return rows


@pytest.mark.parametrize("batches", [1, GROUPS, DELETING, 40])
def test_whole_database_keeps_its_promise(batches: int) -> None:
    assert not promise_after(batches).broken(found_in(rows_after(batches)), [])


def test_batch_under_way_may_be_there_or_not() -> None:
    assert not promise_after(12).broken(found_in(rows_after(13)), [13])
    assert promise_after(12).broken(found_in(rows_after(13)), []) == {"acknowledged batches lost": 1}


def test_lost_batch_is_seen() -> None:
    assert promise_after(13).broken(found_in(rows_after(12)), [14]) == {"acknowledged batches lost": 1}
    assert promise_after(3).broken({}, [4]) == {"acknowledged batches lost": 3}


def test_half_batch_is_seen() -> None:
    rows = rows_after(13)
    rows[3 * ROWS] = batch(3).vectors[0]
    assert promise_after(13).broken(found_in(rows), [14]) == {"batches half there": 1}


def test_undone_delete_is_seen() -> None:
    assert promise_after(DELETING).broken(found_in(rows_after(DELETING - 1)), [15]) == {"deletes undone": 1}


def test_vector_that_nobody_wrote_is_seen() -> None:
    rows = rows_after(3)
    rows[ROWS] = batch(1).vectors[0] + 1e-4
    with pytest.raises(ValueError, match="row 20"):
        found_in(rows)


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")
def test_killed_nearrow_has_no_problem() -> None:
    open_store, _, _ = STORES["nearrow"]
    figures = kill(open_store, cycles=2, seed=1)
    assert figures["cycles with a problem"] == 0
    assert figures["acknowledged batches"]
