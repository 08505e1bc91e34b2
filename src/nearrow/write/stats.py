"""Stats: how big is a collection, and what is it made of?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nearrow.errors import NotFoundError, StorageError
from nearrow.index.graph_tables import GraphTables
from nearrow.metrics import CollectionMetrics, OperationStats
from nearrow.segment.part import SegmentPart
from nearrow.storage.directory import Directory
from nearrow.storage.log_format import LOG_FOLDER
from nearrow.write.follower import Follower
from nearrow.write.space import merge_bytes
from nearrow.write.texts import TEXT_FOLDER
from nearrow.write.writer import Writer

PROCESS_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class SegmentStats:
    """One segment. `graph`: levels, m, average_degree, codes and walk_bytes_per_node among others; None while not built."""

    id: str
    rows: int
    dead: int
    bytes_by_file: Mapping[str, int]
    graph: Mapping[str, Any] | None


@dataclass(frozen=True)
class Stats:
    """Counts and sizes at one moment. `live` rows are those that a search sees; `dead` ones wait in segments for a merge."""

    name: str
    dimension: int
    metric: str
    m: int
    ef_construction: int
    live: int
    dead: int
    segments: tuple[SegmentStats, ...]
    memtable_rows: int
    frozen_memtables: int
    log_bytes: int
    text_bytes: int
    disk_bytes: Mapping[str, int]
    """By kind of file: rows, ids, graph, zones, deletes, log, text, quarantine, other."""
    compact_bytes: int
    """Room on the disk that `compact()` needs while it runs."""
    last_commit: int
    """When the newest manifest was made (a flush, a merge, a bulk load): microseconds since 1970."""
    last_flush: int | None
    last_merge: int | None
    last_snapshot: int | None
    """Microseconds since 1970; None if there was none since the collection was opened here."""
    operations: Mapping[str, OperationStats]
    """Of each verb that was called since the collection was opened: calls, failures, rows, p50, p95 and p99."""
    mapped_bytes: int
    """Of the segments' files: address space, of which the system keeps in memory what is used."""
    memory_anonymous_bytes: int | None
    memory_mapped_bytes: int | None
    memory_resident_bytes: int | None
    """Of the whole process, where /proc tells: memory of its own, mapped files that are in memory, both."""

    @property
    def levels(self) -> int:
        """Of the highest graph; 0 without one."""
        return max((segment.graph["levels"] for segment in self.segments if segment.graph is not None), default=0)

    @property
    def average_degree(self) -> float | None:
        """Neighbours of a row on level 0, over all graphs, from a sample; None without one."""
        graphs = [segment.graph for segment in self.segments if segment.graph is not None]
        nodes = sum(graph["nodes"] for graph in graphs)
        return sum(graph["average_degree"] * graph["nodes"] for graph in graphs) / nodes if nodes else None

    @property
    def disk_bytes_total(self) -> int:
        return sum(self.disk_bytes.values())

    def to_dict(self) -> dict[str, Any]:
        derived = ("disk_bytes_total", "levels", "average_degree")
        return {**asdict(self), **{name: getattr(self, name) for name in derived}}


def folder_of(store: Writer | Follower) -> Directory:
    return store.core.directory if isinstance(store, Writer) else store.directory


def gauges(store: Writer | Follower) -> dict[str, float]:
    """The sizes that cost nothing to know."""
    store.check_open()
    parts = store.view.parts
    segments = [part for part in parts if isinstance(part, SegmentPart)]
    return {
        "rows": store.view.count,
        "dead_rows": sum(part.dead.count for part in segments),
        "segments": len(segments),
        "memtable_rows": sum(part.alive_count for part in parts if not isinstance(part, SegmentPart)),
    }


def measure(store: Writer | Follower, metrics: CollectionMetrics) -> Stats:
    """What a collection is made of now."""
    directory, config, view = folder_of(store), store.config, store.view
    sizes: Counter[str] = Counter()
    _add_sizes(directory, "", sizes)
    parts = [part for part in view.parts if isinstance(part, SegmentPart)]
    memory = _process_memory()
    return Stats(
        name=config.name,
        dimension=config.dimension,
        metric=config.metric,
        m=config.m,
        ef_construction=config.ef_construction,
        live=view.count,
        dead=sum(part.dead.count for part in parts),
        segments=tuple(_segment(part) for part in parts),
        memtable_rows=sum(part.alive_count for part in view.parts if not isinstance(part, SegmentPart)),
        frozen_memtables=len(store.state.frozen),
        log_bytes=sizes["log"],
        text_bytes=sizes["text"],
        disk_bytes=dict(sizes),
        compact_bytes=merge_bytes(parts, config),
        last_commit=store.manifest.created_at,
        last_flush=store.core.last_flush if isinstance(store, Writer) else None,
        last_merge=store.core.last_merge if isinstance(store, Writer) else None,
        last_snapshot=metrics.last_snapshot,
        operations=metrics.stats(),
        mapped_bytes=sum(file.length for part in parts for file in part.segment.entry.files.values()),
        memory_anonymous_bytes=memory.get("RssAnon"),
        memory_mapped_bytes=memory.get("RssFile"),
        memory_resident_bytes=memory.get("VmRSS"),
    )


def _segment(part: SegmentPart) -> SegmentStats:
    entry = part.segment.entry
    sizes = {name: file.length for name, file in entry.files.items()}
    graph = None
    if part.graph is not None:
        tables = GraphTables(part.graph, np.empty(0, np.int64))
        graph = {**part.graph.stats(), "average_degree": tables.average_degree()}
    return SegmentStats(part.id, part.rows, part.dead.count, sizes, graph)


def _add_sizes(directory: Directory, folder: str, sizes: Counter[str]) -> None:
    """Sizes of all files below a folder; what a merge retires meanwhile is left out."""
    for entry in directory.list(folder):
        name = f"{folder}/{entry}" if folder else entry
        if entry.startswith("."):
            continue  # Tantivy's locks and lists, which are no names of the storage layer's
        try:
            inside = directory.list(name)
        except StorageError:  # a file
            inside = []
        if inside:
            _add_sizes(directory, name, sizes)
            continue
        with suppress(NotFoundError):  # retired since it was listed
            if directory.exists(name):
                sizes[_kind(name)] += directory.size(name)


def _kind(name: str) -> str:
    top, _, _ = name.partition("/")
    if top in (LOG_FOLDER, TEXT_FOLDER, "quarantine"):
        return top
    file = name.rpartition("/")[2]
    kinds = {"rows.arrow": "rows", "ids.bin": "ids", "graph.bin": "graph", "zones.arrow": "zones"}
    return "deletes" if file.startswith("deletes-") else kinds.get(file, "other")


def _process_memory() -> dict[str, int]:
    if not PROCESS_STATUS.exists():
        return {}
    lines = (line.split() for line in PROCESS_STATUS.read_text().splitlines())
    return {
        words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if words[0] in ("RssAnon:", "RssFile:", "VmRSS:")
    }
