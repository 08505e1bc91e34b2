"""Snapshot series: how are snapshots taken again and again, and old ones removed?

A series is a folder of snapshots, each named by the time at which it was taken. Each takes over, from the one before it, the
files of what did not change: on this machine as hard links, in an object store as copies within the store.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from nearrow.analytics.snapshot import write_snapshot
from nearrow.analytics.snapshot_files import ParquetOptions
from nearrow.analytics.snapshot_metadata import METADATA_FILE, SnapshotMetadata
from nearrow.analytics.snapshot_place import Place
from nearrow.errors import ClosedError, InvalidArgumentError, NearrowError
from nearrow.schema import CollectionConfig
from nearrow.segment.view import View

logger = logging.getLogger("nearrow")

_NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{6}Z")


class SnapshotSeries:
    """The snapshots in one folder. `newest` gives the view to copy, `keep` is how many stay (None: all), `taken` is told."""

    def __init__(
        self,
        newest: Callable[[], tuple[View, CollectionConfig]],
        place: Place,
        options: ParquetOptions,
        keep: int | None,
        taken: Callable[[SnapshotMetadata], None],
    ) -> None:
        if keep is not None and (isinstance(keep, bool) or not isinstance(keep, int) or keep < 1):
            raise InvalidArgumentError(f"keep must be a positive int or None, not {keep!r}")
        self._newest = newest
        self._place = place
        self._options = options
        self._keep = keep
        self._taken = taken

    def add(self) -> SnapshotMetadata:
        """Take one more, then remove those that are not to be kept."""
        view, config = self._newest()
        before = self.names()
        base = self._place.below(before[-1]) if before else None
        name = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S.%fZ")
        metadata = write_snapshot(view, config, self._place.below(name), self._options, base)
        self._taken(metadata)
        if self._keep is not None:
            for old in self.names()[: -self._keep]:
                self._place.below(old).remove()
        return metadata

    def names(self) -> list[str]:
        """The names of the whole snapshots in it, oldest first."""
        found = [name for name in self._place.folders() if _NAME.fullmatch(name)]
        return [name for name in found if self._place.below(name).has(METADATA_FILE)]


class SnapshotSchedule:
    """Adds to a series every so many seconds, from a thread of its own, until `stop()` or the collection is closed."""

    def __init__(self, series: SnapshotSeries, every: float | timedelta) -> None:
        seconds = every.total_seconds() if isinstance(every, timedelta) else every
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
            raise InvalidArgumentError(f"every must be a number of seconds above 0, or a timedelta, not {every!r}")
        self._series = series
        self._seconds = seconds
        self._stopping = threading.Event()
        self._turn = threading.Condition()
        self.taken = 0
        """How many were taken."""
        self.last: SnapshotMetadata | None = None
        self.error: NearrowError | None = None
        """Why the last attempt failed; None if it did not. The next one is made all the same."""
        self._thread = threading.Thread(target=self._run, name="nearrow-snapshots", daemon=True)
        self._thread.start()

    def wait(self, taken: int, timeout: float | None = None) -> bool:
        """Return True when so many were taken, False if that takes longer than `timeout` seconds or they are stopped."""
        with self._turn:
            self._turn.wait_for(lambda: self.taken >= taken or not self._thread.is_alive(), timeout)
            return self.taken >= taken

    def stop(self) -> None:
        """Take no more; one that is being taken is ended first. Idempotent."""
        self._stopping.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> SnapshotSchedule:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.last, self.error = self._series.add(), None
                self.taken += 1
            except ClosedError:
                break
            except NearrowError as error:
                logger.warning("a scheduled snapshot failed: %s", error)
                self.error = error
            with self._turn:
                self._turn.notify_all()
            self._stopping.wait(self._seconds)
        with self._turn:
            self._turn.notify_all()
