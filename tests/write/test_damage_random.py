"""Random damage to one, two or three files at once: is all that is missing afterwards said to be lost?"""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

import pytest
from damage import folder, make

import nearrow
from nearrow.write.report import Repair

Rows = dict[str, dict[str, object]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("whole") / "library"
    make(library, text=True)
    with nearrow.connect(library) as db:
        docs = db.collection("docs")
        assert docs.search(text="77")[0].id == "id-77"
        docs.delete(["id-9"])
    return library


def contents(library: Path) -> Rows:
    with nearrow.connect(library, read_only=True) as db:
        return {row["id"]: row for row in db.collection("docs").to_arrow().to_pylist()}


def harm(path: Path, random: Random) -> None:
    """Take the file away, cut it, or change some of its bytes."""
    data = bytearray(path.read_bytes())
    kind = random.choice(["missing", "cut", "zeros", "flip", "garbage"])
    if kind == "missing":
        path.unlink()
        return
    if kind == "cut":
        data = data[: random.randint(0, len(data))]
    elif data:
        first = random.randrange(len(data.rstrip(b"\0")) or 1)  # not in the preallocated end of a log
        last = min(len(data), first + random.choice([1, 4, 64, 700]))
        if kind == "flip":
            data[first] ^= 1 << random.randrange(8)
        else:
            data[first:last] = bytes(last - first) if kind == "zeros" else random.randbytes(last - first)
    path.write_bytes(bytes(data))


def assert_nothing_is_hidden(done: Repair, before: Rows, after: Rows) -> None:
    gone, back = set(before) - set(after), set(after) - set(before)
    if not done.changed:
        assert after == before
    if not done.records_lost and not any("fell back" in note for note in done.notes):
        assert len(gone) == done.rows_lost, str(done)
        assert len(back) <= done.deletes_lost, str(done)


@pytest.mark.parametrize("seed", range(24))
def test_whatever_is_gone_is_told(whole: Path, tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    library = Path(shutil.copytree(whole, tmp_path / "library"))
    before = contents(library)
    files = [
        path for path in sorted(folder(library).rglob("*")) if path.is_file() and path.name not in ("LOCK", "LEASE")
    ]
    for path in random.sample(files, random.randint(1, 3)):
        harm(path, random)
    with nearrow.connect(library) as db:
        try:
            done = db.repair_collection("docs")
        except (nearrow.CorruptionError, nearrow.NotFoundError):
            for verb in (db.check_collection, db.collection):
                with pytest.raises((nearrow.CorruptionError, nearrow.NotFoundError)):
                    verb("docs")
            return
    assert_nothing_is_hidden(done, before, contents(library))
    with nearrow.connect(library) as db:
        docs = db.collection("docs")
        docs.wait()
        assert docs.check().ok, str(docs.check())
