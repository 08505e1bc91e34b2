"""Verbs: how is a collection looked after?"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from nearrow.errors import StorageError
from nearrow.metrics import CollectionMetrics
from nearrow.write.check import check_folder
from nearrow.write.follower import Follower
from nearrow.write.open import open_writer
from nearrow.write.repair import repair_folder
from nearrow.write.report import Repair, Report
from nearrow.write.stats import Stats, folder_of, measure
from nearrow.write.writer import Writer

logger = logging.getLogger("nearrow")


class UpkeepVerbs:
    """The part of `Collection` that looks after files; the collection gives its store."""

    if TYPE_CHECKING:
        _store: Writer | Follower
        metrics: CollectionMetrics

        def _writer(self) -> Writer: ...
        def _attach(self, store: Writer | Follower) -> None: ...

    def stats(self) -> Stats:
        """Rows live and dead, each segment, its graph, memtable, log, bytes by kind of file, memory of the process."""
        self._store.check_open()
        return measure(self._store, self.metrics)

    def check(self) -> Report:
        """Read every byte on disk and say what is wrong; `report.ok` if nothing is. Changes nothing, stops nobody."""
        self._store.check_open()
        return check_folder(folder_of(self._store))

    def repair(self) -> Repair:
        """Rebuild what is derived, save the rows that can be read, and say exactly what is lost.

        What was damaged is copied into the folder `quarantine/` first. The collection is closed and opened again for it:
        searches of other threads meanwhile raise ClosedError. See `Database.repair_collection` for one that cannot be
        opened.
        """
        writer = self._writer()
        writer.check_open()
        try:
            writer.close(wait=False)
        except StorageError as error:  # a writer that failed before says so again; its lock is free all the same
            logger.warning("%s: %s", writer.config.name, error)
        directory = folder_of(writer)
        try:
            return repair_folder(directory)
        finally:
            self._attach(open_writer(directory, budget=writer.core.budget))
