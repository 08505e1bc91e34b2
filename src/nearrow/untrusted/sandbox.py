"""Sandbox: how is an untrusted query asked in a process of its own, and ended when it takes too much?"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from nearrow import errors
from nearrow.analytics.sql import check_question
from nearrow.errors import ClosedError, InvalidArgumentError, LimitExceededError, NearrowError, StorageError
from nearrow.untrusted.child import Question
from nearrow.untrusted.frames import BATCH, ERROR, QUESTION, SCHEMA, read_frame, write_frame
from nearrow.untrusted.limits import Limits

START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from nearrow.untrusted.child import main; main()"
DEFAULT_LIMITS = Limits()
FRAME_BYTES_MIN = 1 << 16  # an error's text may be longer than the result that is allowed


def run(
    library: str | os.PathLike[str], query: str, parameters: Any = None, *, limits: Limits = DEFAULT_LIMITS
) -> pa.RecordBatchReader:
    """Ask one query in a process that is started for it. Whoever asks more than one keeps a `Sandbox`."""
    with Sandbox(library, spare=False) as sandbox:
        return sandbox.run(query, parameters, limits=limits)


class Sandbox:
    """Answers untrusted SQL over a library, each query in a new process that can do nothing else. Thread-safe.

    The process opens the library as a reader does, so it sees what is durable; a library in memory cannot be asked. One
    process is kept in readiness (`spare`), because starting Python takes longer than most queries.
    """

    def __init__(self, library: str | os.PathLike[str], *, spare: bool = True) -> None:
        self._library = os.path.abspath(library)
        if not os.path.isdir(self._library):
            raise InvalidArgumentError(f"untrusted SQL needs a library in a directory, which {library!s} is not")
        self._keeps_spare = spare
        self._mutex = threading.Lock()
        self._closed = False
        self._spare = _Child() if spare else None

    def run(self, query: str, parameters: Any = None, *, limits: Limits = DEFAULT_LIMITS) -> pa.RecordBatchReader:
        """The result of one SELECT, as a stream of Arrow batches: collections are tables of their names.

        The process ends when the stream has been read or let go of.

        parameters: a list for ? or a dict for $name. Raises, here or while the stream is read, InvalidArgumentError for a
        query that is wrong or not a SELECT, and LimitExceededError when it takes more than `limits`.
        """
        check_question(query, "arrow")
        child = self._take_child()
        try:
            return child.ask(Question(self._library, query, parameters, limits))
        except BaseException:
            child.end()
            raise

    def close(self) -> None:
        """End the spare process; queries that run end by themselves. Idempotent."""
        with self._mutex:
            self._closed = True
            spare, self._spare = self._spare, None
        if spare is not None:
            spare.end()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take_child(self) -> _Child:
        with self._mutex:
            if self._closed:
                raise ClosedError("the sandbox is closed; make another one")
            child, self._spare = self._spare, _Child() if self._keeps_spare else None
        if child is not None and child.waits:
            return child
        return _Child()


class _Child:
    """A process that waits for one question."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", START, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            start_new_session=True,  # the terminal's Ctrl-C is for the parent to act on
        )
        self._expired = False
        self._timer: threading.Timer | None = None

    @property
    def waits(self) -> bool:
        return self._process.poll() is None

    def ask(self, question: Question) -> pa.RecordBatchReader:
        """The answer's stream; the process ends with it."""
        limits = question.limits
        self._timer = threading.Timer(limits.seconds, self._expire)
        self._timer.daemon = True
        self._timer.start()
        assert self._process.stdin is not None
        try:
            write_frame(self._process.stdin, QUESTION, pickle.dumps(question))
        except BrokenPipeError:
            raise self._failure(limits) from None
        kind, body = self._answer(limits, limits.result_bytes)
        if kind != SCHEMA:
            raise StorageError(f"the process for untrusted SQL answered {kind!r} where a schema should be")
        batches = self._batches(limits)
        weakref.finalize(batches, self.end)  # nobody may ever read them, and then no `finally` of theirs runs
        return pa.RecordBatchReader.from_batches(pa.ipc.open_stream(body).schema, batches)

    def _batches(self, limits: Limits) -> Iterator[pa.RecordBatch]:
        left = limits.result_bytes
        try:
            while True:
                kind, body = self._answer(limits, left)
                if kind != BATCH:
                    return
                left -= len(body)
                batch = pa.ipc.open_stream(body).read_next_batch()
                batch.validate(full=True)  # it comes from a process that ran what others wrote
                yield batch
        finally:
            self.end()

    def _answer(self, limits: Limits, bytes_max: int) -> tuple[bytes, bytes]:
        assert self._process.stdout is not None
        frame = read_frame(self._process.stdout, max(bytes_max, FRAME_BYTES_MIN))
        if frame is None:
            raise self._failure(limits)
        if frame[0] == ERROR:
            raise _error(frame[1])
        return frame

    def _expire(self) -> None:
        self._expired = True
        self._process.kill()

    def _failure(self, limits: Limits) -> NearrowError:
        """Why the process ended without an answer."""
        code = self._process.wait()
        if self._expired:
            return LimitExceededError(f"the query took longer than {limits.seconds:g} s; ask for less")
        if code < 0:
            return LimitExceededError(
                f"the query was ended by signal {-code}: it took more processor time or memory ({limits.memory_bytes:,} "
                "bytes) than it may; ask for less"
            )
        return StorageError(f"the process for untrusted SQL ended with code {code} and no answer")

    def end(self) -> None:
        """Let it answer no longer. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()


def _error(body: bytes) -> NearrowError:
    """The error that the process tells of: of a kind that Nearrow has, whatever it says."""
    told = json.loads(body)
    kind = getattr(errors, str(told.get("kind")), None)
    if not (isinstance(kind, type) and issubclass(kind, NearrowError)):
        kind = StorageError
    error: NearrowError = kind(str(told.get("message")))
    return error
