"""Fitting: do the files of a collection, each of them sound, also fit together?

Every id has one row that is alive, and the text index has every such row below its watermark.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from nearrow.index.text import RebuildNeededError, TextIndex, text_fields_of
from nearrow.schema import CollectionConfig
from nearrow.segment.rows import Positions
from nearrow.segment.view import Part, View
from nearrow.storage.directory import Directory
from nearrow.storage.manifest import Manifest
from nearrow.write.text_rows import numbers_below
from nearrow.write.texts import TEXT_FOLDER

IDS_AT_ONCE = 1 << 16


class TextFiles:
    """A collection's text index as it is now; nothing if it has none, or none was built yet."""

    def __init__(self, directory: Directory, manifest: Manifest) -> None:
        """Open it before the rows: then they are as new or newer, and each that is alive must be in it."""
        self.problems: list[str] = []
        self._index: TextIndex | None = None
        config = CollectionConfig.from_dict(manifest.config)
        if not config.text_fields or directory.path is None or not directory.list(TEXT_FOLDER):
            return
        path = os.path.join(directory.path, TEXT_FOLDER)
        try:
            self._index = TextIndex.open(path, text_fields_of(config), read_only=True, identity=manifest.uuid)
            self.problems = self._index.check()
        except RebuildNeededError as error:
            self.problems = [str(error)]

    def misfits(self, view: View, next_row: int, *, living: bool) -> Iterator[str]:
        """What the index lacks of these rows, or knows beyond them. `living`: a writer may go on meanwhile."""
        if self._index is None or self.problems:
            return
        index = self._index
        if not living and (index.lsn > view.lsn or index.watermark > next_row):
            yield (
                f"knows rows below {index.watermark} and records up to {index.lsn}; the collection ends at {next_row} and "
                f"{view.lsn}"
            )
            return
        try:
            lacking = np.setdiff1d(numbers_below(view, index.watermark), index.matches("*"), assume_unique=True)
        except RebuildNeededError as error:
            yield str(error)
            return
        if len(lacking):
            yield f"lacks {len(lacking)} rows below its watermark {index.watermark}, the first is row {lacking[0]}"

    def close(self) -> None:
        if self._index is not None:
            self._index.close()


def repeated_ids(view: View) -> tuple[int, list[str | int]]:
    """How many ids have more than one row that is alive, and the first of them."""
    count, first = 0, list[str | int]()
    for index, part in enumerate(view.parts):
        for other in view.parts[index + 1 :]:
            positions, _ = shared_ids(part, other)
            count += len(positions)
            first += part.ids_at(positions[:5]).tolist()
    return count, first[:5]


def shared_ids(part: Part, other: Part) -> tuple[Positions, Positions]:
    """Where the ids lie that are alive in both: positions in the one, and in the other."""
    alive = np.arange(part.rows, dtype=np.int64)
    if part.alive is not None:
        alive = np.flatnonzero(np.unpackbits(part.alive, count=part.rows, bitorder="little")).astype(np.int64)
    here, there = [alive[:0]], [alive[:0]]
    for start in range(0, len(alive), IDS_AT_ONCE):
        piece = alive[start : start + IDS_AT_ONCE]
        found = other.find(pa.array(part.ids_at(piece)))
        here.append(piece[found >= 0])
        there.append(found[found >= 0])
    return np.concatenate(here), np.concatenate(there)
