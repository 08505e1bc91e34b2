"""Stats: how big is a collection, and what is it made of?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nearrow.errors import NotFoundError, StorageError
from nearrow.metrics import OperationStats
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
    """One segment. `graph`: levels, m, codes and walk_bytes_per_node among others; None while it is not built."""

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
    operations: Mapping[str, OperationStats]
    """Of each verb that was called since the collection was opened: calls, failures, rows, p50, p95 and p99."""
    memory_anonymous_bytes: int | None
    memory_mapped_bytes: int | None
    """Of the whole process, where /proc tells."""

    @property
    def disk_bytes_total(self) -> int:
        return sum(self.disk_bytes.values())

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "disk_bytes_total": self.disk_bytes_total}


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


def measure(store: Writer | Follower, operations: Mapping[str, OperationStats]) -> Stats:
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
        operations=operations,
        memory_anonymous_bytes=memory.get("RssAnon"),
        memory_mapped_bytes=memory.get("RssFile"),
    )


def _segment(part: SegmentPart) -> SegmentStats:
    entry = part.segment.entry
    sizes = {name: file.length for name, file in entry.files.items()}
    graph = None if part.graph is None else part.graph.stats()
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
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if words[0] in ("RssAnon:", "RssFile:")}
