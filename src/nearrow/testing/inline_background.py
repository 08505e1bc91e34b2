"""Inline background: how can a run with merges and graphs be the same run twice?

Sealing, merging and graph building happen at once, in the thread that asked for them, so that a seed decides everything.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from nearrow.collection import Collection
from nearrow.errors import NearrowError, StorageError
from nearrow.storage.directory import Directory
from nearrow.write.background import Background, Task
from nearrow.write.core import Core
from nearrow.write.effort import Progress
from nearrow.write.open import open_writer

logger = logging.getLogger(__name__)


class InlineBackground(Background):
    """Background work without threads."""

    def __init__(self, core: Core, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(core, clock)
        self._inside = False
        self._failed: BaseException | None = None

    def _start(self, name: str, task: Task) -> None:
        if self._inside or self._stopping:
            return
        self._inside = True
        try:
            task()
            if name == "seal":
                self._optimise()
        except (NearrowError, OSError, MemoryError) as failure:  # as the threads do: the write that woke us stands
            logger.info("inline background %s failed: %s", name, failure)
            self._failed = failure
        finally:
            self._inside = False

    @property
    def healthy(self) -> bool:
        return self._failed is None and not self._stopping

    def _sync(self) -> None:
        self._core.sync()

    def wait(self, progress: Progress) -> None:
        self._failed = None
        self.wake()
        if self._failed is not None:
            raise StorageError(f"background work failed: {self._failed}") from self._failed

    def stop(self, *, finish: bool) -> None:
        self._stopping = True


def open_inline(directory: Directory) -> Collection:
    """Open the collection that lies in `directory` for writing, with inline background work."""
    return Collection(open_writer(directory, background=InlineBackground))
