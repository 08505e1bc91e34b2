"""Drop: is a collection whose dropping was interrupted there whole, or not at all, and are the others unharmed?"""

from __future__ import annotations

from pathlib import Path

import nearrow
from nearrow import NearrowError
from nearrow.testing.disk_calls import DiskCalls
from nearrow.write.drop import DROPPED


def make_two(path: Path) -> None:
    with nearrow.connect(path) as database:
        for name in ("kept", "dropped"):
            database.create_collection(name, 2, metric="l2").upsert([{"id": "a", "vector": [1.0, 2.0]}])


def drop_with_fault(path: Path, strike_at: int) -> bool:
    """Whether the fault fired."""
    with nearrow.connect(path) as database, DiskCalls(strike_at, "EIO").installed() as calls:
        try:
            database.drop_collection("dropped")
        except NearrowError:
            assert calls.fired
    return calls.fired


def test_drop_that_fails_at_any_call_leaves_all_or_nothing_and_the_others(tmp_path: Path) -> None:
    strike_at, seen = 1, set()
    while True:
        path = tmp_path / str(strike_at)
        make_two(path)
        fired = drop_with_fault(path, strike_at)
        with nearrow.connect(path) as database:
            counts = {name: database.collection(name).count() for name in database.collections()}
        assert counts in ({"kept": 1, "dropped": 1}, {"kept": 1})
        seen.add(len(counts))
        if not fired:
            break
        strike_at += 1
    assert strike_at > 10
    assert seen == {1, 2}


def test_next_creation_ends_an_interrupted_drop(tmp_path: Path) -> None:
    make_two(tmp_path)
    with nearrow.connect(tmp_path) as database:
        folder = Path(database.path, database._find_folders()["dropped"])
    (folder / DROPPED).touch()
    with nearrow.connect(tmp_path) as database:
        assert database.collections() == ["kept"]
        database.create_collection("dropped", 3)
        assert not folder.exists()
        assert database.collections() == ["dropped", "kept"]
