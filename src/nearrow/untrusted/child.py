"""Child: how does a process answer one question and then end, unable to reach anything else?

It opens the library read-only, hands the rows to a DuckDB that is locked down by its settings, and then gives up, before the
query runs, the right to open any file or socket, to write to one, and to use more memory and time than it may.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import resource
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from nearrow.analytics.sql import check_only_reads, named_in
from nearrow.analytics.sql_nearest import with_searches
from nearrow.analytics.sql_stream import prepare, stream
from nearrow.database import connect
from nearrow.errors import LimitExceededError, NearrowError
from nearrow.untrusted.frames import BATCH, END, ERROR, SCHEMA, read_frame, stream_of, write_frame
from nearrow.untrusted.limits import MIB, Limits

QUESTION_BYTES_MAX = 1 << 30
SLACK_BYTES = 64 * MIB  # stacks of threads, buffers of a batch
PROCESS_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Question:
    """What is asked, of which library, and how much it may use."""

    library: str
    query: str
    parameters: Any
    limits: Limits


def main() -> None:
    """Answer the question that comes on standard input, on standard output."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing that is printed by chance gets among the frames
    warm_up()
    frame = read_frame(sys.stdin.buffer, QUESTION_BYTES_MAX)
    if frame is None:  # nobody asks
        return
    try:
        answer(pickle.loads(frame[1]), answers)
    except NearrowError as error:
        _refuse(answers, type(error).__name__, str(error))
    except (MemoryError, pa.ArrowMemoryError):
        _refuse(answers, LimitExceededError.__name__, "the query needs more memory than it may use")


def warm_up() -> None:
    """Load what a query needs, while nobody waits for it."""
    with closing(prepare({}, "", threads=1, memory_bytes=SLACK_BYTES)) as connection:
        stream(connection, "SELECT 1").read_all()


def answer(question: Question, answers: IO[bytes]) -> None:
    """Write the schema, the batches, and the end of the result."""
    limits = question.limits
    with connect(question.library, read_only=True) as db:
        views = {name: db.collection(name)._view() for name in named_in(question.query, db.collections())}
        with closing(
            prepare(views, question.query, threads=limits.threads, memory_bytes=limits.memory_bytes)
        ) as connection:
            check_only_reads(connection, question.query)
            query, tables = with_searches(connection, question.query, question.parameters, db._nearest)
            for table, hits in tables.items():
                connection.register(table, hits)
            give_up_rights(limits)
            reader = stream(connection, query, question.parameters)
            write_frame(answers, SCHEMA, stream_of(reader.schema))
            for batch in reader:
                write_frame(answers, BATCH, stream_of(reader.schema, batch))
            write_frame(answers, END)


def give_up_rights(limits: Limits) -> None:
    """For good: open no file or socket, write to no file, dump no core, take no more memory and time than allowed."""
    processor_seconds = math.ceil(limits.seconds * limits.threads) + 1
    most = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: 0,
        resource.RLIMIT_CPU: processor_seconds,
    }
    data_bytes = _data_bytes()
    if data_bytes is not None:
        most[resource.RLIMIT_DATA] = data_bytes + limits.memory_bytes + SLACK_BYTES
    for what, value in most.items():
        _, hard = resource.getrlimit(what)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (value, value))


def _data_bytes() -> int | None:
    """The private memory that the process has already; mapped rows are not in it."""
    if not PROCESS_STATUS.exists():
        return None
    line = next(line for line in PROCESS_STATUS.read_text().splitlines() if line.startswith("VmData:"))
    return int(line.split()[1]) * 1024


def _refuse(answers: IO[bytes], kind: str, message: str) -> None:
    write_frame(answers, ERROR, json.dumps({"kind": kind, "message": message}).encode())
