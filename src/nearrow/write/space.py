"""Space: how much room on the disk does a merge need, and is it there?

A merge writes its result beside its inputs, which go only after the commit. So the room is asked for before the first
byte is written, and a disk is never filled up by work that could not end.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable

from nearrow.errors import StorageError
from nearrow.schema import CollectionConfig
from nearrow.segment.format import GRAPH_FILE
from nearrow.segment.part import SegmentPart
from nearrow.storage.directory import Directory

RESERVE_BYTES_MAX = 32 << 20
"""Left for the log and the manifests of those who write meanwhile: as much again as is needed, and no more than this."""


def graph_bytes(rows: int, config: CollectionConfig) -> int:
    """Of a graph file, a little more than measured: a byte for each dimension, 8 for each of the m links, 13 besides."""
    return rows * (config.dimension + 8 * config.m + 32)


def merge_bytes(parts: Iterable[SegmentPart], config: CollectionConfig) -> int:
    """Of the segment that these parts become: their files but the graphs, less the dead rows' share, and its graph."""
    total = alive = 0
    for part in parts:
        files = part.segment.entry.files
        rows_bytes = sum(entry.length for name, entry in files.items() if name != GRAPH_FILE)
        total += -(-rows_bytes * part.alive_count // max(1, part.rows))
        alive += part.alive_count
    return total + (graph_bytes(alive, config) if alive >= config.graph_rows_min else 0)


def check_space(directory: Directory, needed: int, what: str) -> None:
    """StorageError with both figures (errno ENOSPC) unless `needed` bytes and a reserve are free."""
    free = directory.free_bytes()
    asked = needed + min(needed, RESERVE_BYTES_MAX)
    if free >= asked:
        return
    error = StorageError(
        f"{what} needs {asked:,} bytes of disk while it runs, and {free:,} are free; nothing was begun: "
        "free some space. Reading and writing go on"
    )
    error.errno = errno.ENOSPC
    raise error
