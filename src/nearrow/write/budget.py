"""Budget: how much memory may one collection's building, merging and importing take?

What is mapped is not counted: the system takes such pages back when it needs them. Anonymous memory is: a graph while it
is built, a batch while it is written, the memtables. All are bounded by sizes that follow from the budget, before the
work begins: more rows than one build may hold go into several segments, each with a graph of its own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from nearrow.errors import InvalidArgumentError
from nearrow.schema import CollectionConfig
from nearrow.segment.format import BATCH_BYTES_MAX

BYTES_MIN = 64 << 20
_CONTROL_GROUP = Path("/sys/fs/cgroup/memory.max")
_ROW_BYTES = 96  # of a row in a build or merge, beside its codes and links: id table, row numbers, maps


@dataclass(frozen=True)
class MemoryBudget:
    """Bytes of anonymous memory, and what follows from them."""

    bytes: int

    @classmethod
    def of(cls, given: int | None) -> MemoryBudget:
        """`given` bytes, or for None half of what this machine (or its control group) has.

        InvalidArgumentError if it is too small to work in.
        """
        if given is None:
            return cls(max(BYTES_MIN, _machine_bytes() // 2))
        if isinstance(given, bool) or not hasattr(given, "__index__"):
            raise InvalidArgumentError(f"memory_budget must be None or a number of bytes, not {given!r}")
        if int(given.__index__()) < BYTES_MIN:
            raise InvalidArgumentError(
                f"memory_budget is {int(given)} bytes; the least to work in is {BYTES_MIN} (64 MiB)"
            )
        return cls(int(given.__index__()))

    def segment_rows_max(self, config: CollectionConfig) -> int:
        """The most rows of a segment that is written, or whose graph is built, within half of the budget.

        Measured peaks of a build, by rows: 312 bytes at 128 dimensions, 1,366 at 384 (1,800 for a merge), 2,072 at 784,
        1,639 at 384 with m = 32.
        """
        row = 4 * config.dimension + 40 * config.m + _ROW_BYTES
        return max(config.graph_rows_min, self.bytes // 2 // row)

    def memtable_bytes(self, config: CollectionConfig) -> int:
        """When a memtable is full: four of them may wait for their segment."""
        return min(config.memtable_bytes, self.bytes // 32)

    @property
    def batch_bytes(self) -> int:
        """The most bytes of a batch in a segment's file; a few copies of one are made on its way there."""
        return min(BATCH_BYTES_MAX, self.bytes // 32)


def _machine_bytes() -> int:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not on Windows
        return 8 << 30
    try:
        limit = _CONTROL_GROUP.read_text().strip()
    except OSError:  # no control groups here
        return total
    return min(total, int(limit)) if limit.isdecimal() else total
