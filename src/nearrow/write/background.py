"""Background: who seals, builds graphs and merges, while others write and search?

Threads, started when there is first something to do: one seals full memtables (short, must not wait), one works off
the merge policy's jobs (long, interruptible), one follows the texts. One more syncs the log for durability "batched". A
task that fails, as for want of space, is tried again later, less and less often.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from nearrow.errors import StorageError
from nearrow.write.ages import Ages
from nearrow.write.core import Core
from nearrow.write.effort import Effort, Progress, cpu_threads, gently, quiet_threads
from nearrow.write.merge import build_graph, merge_segments, sizes
from nearrow.write.merge_policy import Job, Limits, Merge, SegmentSize, next_job
from nearrow.write.seal import seal_oldest
from nearrow.write.texts import WriterTexts

logger = logging.getLogger(__name__)

BATCHED_SECONDS = 0.1
RETRY_SECONDS = 5.0
RETRY_SECONDS_MAX = 300.0
RETIRE_SECONDS = 1.0
WRITING_SECONDS = 1.0
"""Whoever wrote few rows a shorter while ago is likely to write more: builds leave a processor to them."""


Task = Callable[[], float | None]
"""Some work; returns after how many seconds it wants to be done again unasked, None: not before it is woken."""


class Cancelled(Exception):  # noqa: N818  (not an error: the work is left to the next open)
    """Background work was told to stop."""


class Background:
    """The background threads of one writer."""

    def __init__(self, core: Core, clock: Callable[[], float] = time.monotonic) -> None:
        self._core = core
        self._segment_ages = Ages(clock)
        self._memtable_ages = Ages(clock)
        self._watched: object = None
        self._lock = threading.Lock()
        self._work = threading.Lock()  # held while a job runs, or while jobs are paused
        self._changed = threading.Condition(self._lock)
        self._stopping = False
        self._threads: dict[str, threading.Thread] = {}
        self._pending: set[str] = set()
        self._running: set[str] = set()
        self._clock = clock
        self._written = -float("inf")  # when few rows were written last
        self._errors: dict[str, BaseException] = {}
        self.texts: WriterTexts | None = None
        self._progress: Progress | None = None  # of the one who waits

    # ---- control

    def wake(self) -> None:
        """There may be something to seal, to merge or to build."""
        self._start("seal", self._seal)
        self._start("optimise", self._optimise)
        self._start("age", self._seal_the_old)
        if self.texts is not None:
            self._start("text", self._index_texts)

    def watch(self) -> None:
        """Rows were written: should nobody seal their memtable before, it is sealed when it is old."""
        self._written = self._clock()
        if self._watched is not self._core.state.active:
            self._watched = self._core.state.active
            self._start("age", self._seal_the_old)

    def wake_sync(self) -> None:
        """A record waits for its fsync (durability "batched")."""
        self._start("sync", self._sync)

    def _start(self, name: str, task: Task) -> None:
        with self._changed:
            if self._stopping:
                return
            self._pending.add(name)
            if name not in self._threads:
                thread = threading.Thread(target=self._loop, args=(name, task), name=f"nearrow-{name}", daemon=True)
                self._threads[name] = thread
                _at_work.add(self)
                thread.start()
            self._changed.notify_all()

    @property
    def _limits(self) -> Limits:
        config = self._core.config  # a change of model changes it
        return Limits(config.graph_rows_min, self._core.budget.segment_rows_max(config))

    @property
    def _idle(self) -> bool:
        return not self._pending and not self._running

    @property
    def healthy(self) -> bool:
        return not self._errors and not self._stopping

    def stopping(self) -> bool:
        return self._stopping

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No merge or graph build runs inside."""
        with self._work:
            yield

    def wait(self, progress: Progress) -> None:
        """Return when nothing is left to do, reporting to `progress` meanwhile; raises what the work failed with."""
        self._progress = progress
        with self._changed:
            self._errors.clear()  # what failed before is tried again now
        self.wake()
        with self._changed:
            self._changed.wait_for(lambda: self._idle or self._errors or self._stopping)
            error = next(iter(self._errors.values()), None)
        self._progress = None
        if error is not None:
            raise StorageError(f"background work failed: {error}; it is tried again at the next write") from error

    def stop(self, *, finish: bool) -> None:
        """End the threads; finish=True lets the work that is pending end first."""
        if finish and not self._core.failed:
            with self._changed:
                self._changed.wait_for(lambda: self._idle or self._errors)
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads.values():
            if thread is not threading.current_thread():
                thread.join()

    # ---- threads

    def _loop(self, name: str, task: Task) -> None:
        again: float | None = None  # seconds after which the task wants to look again
        retry = RETRY_SECONDS
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or name in self._pending, again)
                if self._stopping:
                    return
                self._pending.discard(name)
                self._running.add(name)
            error: BaseException | None = None
            try:
                again, retry = task(), RETRY_SECONDS
            except Cancelled:
                return
            except Exception as failure:  # whatever it is, those who wait must hear of it
                logger.error("background %s of %s failed: %s", name, self._core.config.name, failure)
                error, again, retry = failure, retry, min(2 * retry, RETRY_SECONDS_MAX)
            with self._changed:
                self._errors.pop(name, None)
                if error is not None:
                    self._errors[name] = error
                self._running.discard(name)
                self._changed.notify_all()
            if error is not None:
                with self._core.mutex:
                    self._core.idle.notify_all()

    def _seal(self) -> None:
        while not self._stopping and seal_oldest(self._core):
            self._start("optimise", self._optimise)

    def _seal_the_old(self) -> float | None:
        """Freeze a memtable that is older than the limit; returns when to look again."""
        core = self._core
        with core.mutex:
            if core.failed or core.unsealed_records == 0:
                return None
            age = self._memtable_ages.look([core.state.active.number])[core.state.active.number]
            if age < self._limits.age_seconds_max:
                return self._limits.age_seconds_max - age
            core.freeze()
        self._seal()
        return None

    def _index_texts(self) -> None:
        assert self.texts is not None
        if self.texts.behind:
            self.texts.sync()

    def _optimise(self) -> float | None:
        """Work off the jobs; returns when to look again: there are files to retire, or small segments grow old."""
        while not self._stopping:
            with self._work:
                found = sizes(self._core)
                ages = self._segment_ages.look(size.id for size in found)
                found = [replace(size, age_seconds=ages[size.id]) for size in found]
                job = next_job(found, self._limits)
                if job is None:
                    self._core.retire_files()
                    return RETIRE_SECONDS if self._core.files.waiting else self._until_old(found)
                self._run(job, found)
        return None

    def _until_old(self, found: Sequence[SegmentSize]) -> float | None:
        """Seconds until the oldest of several small segments is due."""
        small = [size.age_seconds for size in found if size.rows < self._limits.graph_rows_min]
        return max(0.0, self._limits.age_seconds_max - max(small)) if len(small) > 1 else None

    def _run(self, job: Job, found: Sequence[SegmentSize]) -> None:
        try:
            if isinstance(job, Merge):
                merge_segments(self._core, job.ids, self._effort(quiet_threads(), gently))
            else:
                searched = sum(size.rows for size in found if size.has_graph)
                urgent = any(size.id == job.id and size.rows > searched for size in found)
                writing = self._clock() - self._written < WRITING_SECONDS
                threads = cpu_threads() if urgent and not writing else quiet_threads()
                build_graph(self._core, job.id, self._effort(threads, gently))
        except BaseException:
            if self._stopping:
                raise Cancelled from None
            raise

    def _effort(self, threads: int, run: Callable[[Callable[[], Any]], Any]) -> Effort:
        return Effort(threads, run, self.stopping, self._report)

    def _report(self, done: int, total: int) -> None:
        progress = self._progress
        if progress is not None:
            progress(done, total)

    def _sync(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping, BATCHED_SECONDS)
        self._core.sync()


_at_work: weakref.WeakSet[Background] = weakref.WeakSet()
os.register_at_fork(after_in_child=_at_work.clear)  # its threads are the parent's


@atexit.register
def _stop_all() -> None:
    """Also of collections that nobody closed and nobody can reach: a thread that still computes when the interpreter
    goes would be torn out of native code, and the process would abort."""
    for background in list(_at_work):
        background.stop(finish=False)
