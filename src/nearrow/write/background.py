"""Background: who seals, builds graphs and merges, while others write and search?

Two threads, started when there is first something to do: one seals full memtables (short, must not wait), one works off
the merge policy's jobs (long, interruptible). A third syncs the log for durability "batched".
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nearrow.errors import StorageError
from nearrow.write.core import Core
from nearrow.write.merge import Progress, build_graph, merge_segments, sizes
from nearrow.write.merge_policy import Job, Merge, next_job
from nearrow.write.seal import seal_oldest
from nearrow.write.texts import WriterTexts

logger = logging.getLogger(__name__)

BATCHED_SECONDS = 0.1
RETRY_SECONDS = 5.0


class Cancelled(Exception):  # noqa: N818  (not an error: the work is left to the next open)
    """Background work was told to stop."""


class Background:
    """The background threads of one writer."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._lock = threading.Lock()
        self._work = threading.Lock()  # held while a job runs, or while jobs are paused
        self._changed = threading.Condition(self._lock)
        self._stopping = False
        self._threads: dict[str, threading.Thread] = {}
        self._pending: set[str] = set()
        self._running: set[str] = set()
        self._errors: dict[str, BaseException] = {}
        self.texts: WriterTexts | None = None
        self._progress: Progress | None = None  # of the one who waits

    # ---- control

    def wake(self) -> None:
        """There may be something to seal, to merge or to build."""
        self._start("seal", self._seal)
        self._start("optimise", self._optimise)
        if self.texts is not None:
            self._start("text", self._index_texts)

    def wake_sync(self) -> None:
        """A record waits for its fsync (durability "batched")."""
        self._start("sync", self._sync)

    def _start(self, name: str, task: Callable[[], None]) -> None:
        with self._changed:
            if self._stopping:
                return
            self._pending.add(name)
            if name not in self._threads:
                thread = threading.Thread(target=self._loop, args=(name, task), name=f"nearrow-{name}", daemon=True)
                self._threads[name] = thread
                thread.start()
            self._changed.notify_all()

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

    def _loop(self, name: str, task: Callable[[], None]) -> None:
        retry: float | None = None
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or name in self._pending, retry)
                if self._stopping:
                    return
                self._pending.discard(name)
                self._running.add(name)
            error: BaseException | None = None
            try:
                task()
            except Cancelled:
                return
            except Exception as failure:  # whatever it is, those who wait must hear of it
                logger.error("background %s of %s failed: %s", name, self._core.config.name, failure)
                error = failure
            retry = RETRY_SECONDS if error is not None else None
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

    def _index_texts(self) -> None:
        assert self.texts is not None
        if self.texts.behind:
            self.texts.sync()

    def _optimise(self) -> None:
        while not self._stopping:
            with self._work:
                job = next_job(sizes(self._core), self._core.config.graph_rows_min)
                if job is None:
                    return
                self._run(job)

    def _run(self, job: Job) -> None:
        def cancelled() -> bool:
            return self._stopping

        try:
            if isinstance(job, Merge):
                merge_segments(self._core, job.ids, threads=cpu_threads(), cancelled=cancelled, progress=self._report)
            else:
                build_graph(self._core, job.id, threads=cpu_threads(), cancelled=cancelled, progress=self._report)
        except BaseException:
            if self._stopping:
                raise Cancelled from None
            raise

    def _report(self, done: int, total: int) -> None:
        progress = self._progress
        if progress is not None:
            progress(done, total)

    def _sync(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping, BATCHED_SECONDS)
        self._core.sync()


def cpu_threads() -> int:
    """How many threads a build may use."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not on macOS and Windows
        return max(1, os.cpu_count() or 1)
