"""Files: which files of the folder are being made, and which may go now?"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

from nearrow.errors import StorageError
from nearrow.segment.format import segment_folder
from nearrow.storage import gc
from nearrow.storage.directory import Directory
from nearrow.storage.manifest import Manifest

logger = logging.getLogger(__name__)


class Files:
    """The files of one open collection, for its writer. Thread-safe."""

    def __init__(self, directory: Directory, name: str, has_segment: Callable[[str], bool]) -> None:
        """`name` is the collection's, for messages; `has_segment(id)`: whether a segment belongs to it now."""
        self._directory = directory
        self._name = name
        self._has_segment = has_segment
        self._mutex = threading.Lock()
        self._in_progress: Counter[str] = Counter()  # a graph may be begun while the load of its segment still ends
        self.waiting = False
        """Files that nobody needs could not go yet: a reader was mapping its files, or the disk failed."""

    def retire(self, *kept: Manifest) -> None:
        """Unlink what none of these manifests names. A failure costs space only: the next call tries again.

        REQUIRES: nobody commits meanwhile (the collection's mutex).
        """
        with self._mutex:  # to the end: what is begun while files go would not be on the list of what must stay
            try:
                self.waiting = gc.retire(self._directory, gc.referenced_names(*kept) | set(self._in_progress)) is None
            except StorageError as error:
                self.waiting = True
                logger.warning("could not retire old files of %s: %s", self._name, error)

    @contextmanager
    def new_segment(self) -> Iterator[str]:
        """The id of a segment being written: its folder is kept from retirement, and removed if an error comes."""
        segment_id = uuid4().hex
        folder = segment_folder(segment_id)
        with self.protect(folder):
            try:
                yield segment_id
            except BaseException:
                if not self._has_segment(segment_id):
                    self._directory.remove_folder(folder)
                raise

    @contextmanager
    def protect(self, folder: str) -> Iterator[None]:
        """Files that no manifest names yet stay in this folder. Waits while files are being retired."""
        with self._mutex:
            self._in_progress[folder] += 1
        try:
            yield
        finally:
            with self._mutex:
                self._in_progress[folder] -= 1
                if self._in_progress[folder] == 0:
                    del self._in_progress[folder]
