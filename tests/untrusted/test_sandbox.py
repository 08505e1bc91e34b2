"""Sandbox: does an untrusted query get its rows, and nothing else, and no more than it may use?"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import nearrow
from nearrow.errors import ClosedError, InvalidArgumentError, LimitExceededError, StorageError
from nearrow.untrusted import Limits, Sandbox, run

MIB = 1 << 20
ROWS = 5_000
GENEROUS = Limits(seconds=60)  # starting a process takes long where many run


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A library whose writer is open, with dead rows and rows in the memtable."""
    path = tmp_path_factory.mktemp("untrusted") / "library"
    with nearrow.connect(path) as db:
        docs = db.create_collection("docs", 4)
        vectors = np.random.default_rng(0).standard_normal((ROWS, 4)).astype(np.float32)
        docs.add(ids=range(ROWS), vectors=vectors, metadata=[{"n": n, "text": f"Zürich {n}"} for n in range(ROWS)])
        docs.flush()
        docs.delete(range(100))
        docs.add(ids=[ROWS], vectors=vectors[:1], metadata=[{"n": ROWS, "tags": ["a", None]}])
        yield path


@pytest.fixture(scope="module")
def sandbox(library: Path) -> Iterator[Sandbox]:
    with Sandbox(library) as made:
        yield made


def test_rows_come_back_as_a_stream_of_live_rows(sandbox: Sandbox) -> None:
    reader = sandbox.run("SELECT n, text FROM docs ORDER BY n", limits=GENEROUS)
    assert isinstance(reader, pa.RecordBatchReader)
    table = reader.read_all()
    assert table.column("n").to_pylist() == list(range(100, ROWS + 1))
    assert table.column("text")[0].as_py() == "Zürich 100"


def test_parameters_are_bound_and_types_come_back(sandbox: Sandbox) -> None:
    moment = datetime(2024, 2, 29, tzinfo=UTC)
    found = sandbox.run(
        "SELECT $moment AS moment, tags, {'a': 1.5} AS s FROM docs WHERE n = $n",
        {"n": ROWS, "moment": moment},
        limits=GENEROUS,
    )
    assert found.read_all().to_pylist() == [{"moment": moment, "tags": ["a", None], "s": {"a": 1.5}}]
    nobody = sandbox.run("SELECT id FROM docs WHERE text = ?", ["x' OR true --"], limits=GENEROUS)
    assert nobody.read_all().num_rows == 0


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_text('/proc/self/environ')",
        "COPY docs TO '/tmp/stolen.csv'",
        "SET memory_limit = '100GB'",
        "SELECT 1; SELECT * FROM docs; DROP TABLE docs",
        "SELEC",
    ],
)
def test_what_is_not_a_select_over_the_rows_is_refused(sandbox: Sandbox, query: str) -> None:
    with pytest.raises(InvalidArgumentError):
        sandbox.run(query, limits=GENEROUS).read_all()


def test_a_query_that_takes_too_long_is_ended(sandbox: Sandbox) -> None:
    endless = "SELECT sum(range % 7) FROM range(1000000000000)"  # keeps nothing, so that time ends it and not memory
    began = time.monotonic()
    with pytest.raises(LimitExceededError, match="longer than 2 s"):
        sandbox.run(endless, limits=Limits(seconds=2)).read_all()
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(DISTINCT s) FROM (SELECT repeat(range::VARCHAR, 20) AS s FROM range(100000000))",
        "SELECT length(repeat('x', 4000000000))",
        "SELECT list(range) FROM range(1000000000)",
    ],
)
def test_a_query_that_needs_too_much_memory_is_ended(sandbox: Sandbox, query: str) -> None:
    with pytest.raises((LimitExceededError, InvalidArgumentError)):
        sandbox.run(query, limits=Limits(seconds=60, memory_bytes=64 * MIB)).read_all()


def test_a_result_that_is_too_large_ends_while_it_is_read(sandbox: Sandbox) -> None:
    reader = sandbox.run("SELECT * FROM range(100000000)", limits=Limits(seconds=60, result_bytes=MIB))
    assert reader.read_next_batch().num_rows > 0
    with pytest.raises(LimitExceededError, match="larger"):
        reader.read_all()


LOCKED = """
import os, socket, sys
from nearrow.untrusted import Limits
from nearrow.untrusted.child import give_up_rights, warm_up
warm_up()
give_up_rights(Limits(seconds=100))
refused = 0
for attempt in (lambda: open("/etc/passwd"), lambda: socket.socket(), lambda: os.pipe(), lambda: os.open("/tmp", 0)):
    try:
        attempt()
    except OSError:
        refused += 1
try:
    held = bytearray(3 << 30)
except MemoryError:
    refused += 1
os.write(1, str(refused).encode())
"""


def test_the_process_can_open_nothing_once_it_has_given_up_its_rights() -> None:
    done = subprocess.run([sys.executable, "-c", LOCKED], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "5"


def children() -> set[str]:
    return set(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc to count processes")
def test_every_process_ends_with_its_query(library: Path) -> None:
    before = children()
    with Sandbox(library) as own:
        for _ in range(2):
            assert own.run("SELECT count(*) FROM docs", limits=GENEROUS).read_all().num_rows == 1
        with pytest.raises(InvalidArgumentError):
            own.run("SELEC", limits=GENEROUS)
        own.run("SELECT * FROM docs", limits=GENEROUS)  # and nobody reads it
    assert children() == before
    with pytest.raises(ClosedError):
        own.run("SELECT 1")


def test_one_query_without_a_sandbox(library: Path) -> None:
    assert run(library, "SELECT max(n) AS n FROM docs", limits=GENEROUS).read_all().to_pylist() == [{"n": ROWS}]


def test_a_library_that_is_not_there_or_damaged_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="directory"):
        Sandbox(":memory:")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises((InvalidArgumentError, StorageError, nearrow.NotFoundError)):
        run(empty, "SELECT * FROM docs", limits=GENEROUS)


def test_limits_are_checked() -> None:
    for wrong in ({"seconds": 0}, {"memory_bytes": 1}, {"result_bytes": True}, {"threads": 0}):
        with pytest.raises(InvalidArgumentError, match=next(iter(wrong))):
            Limits(**wrong)  # type: ignore[arg-type]
