"""Snapshot: how does one version of a collection become Parquet tables that any tool reads?

Each part of the view, a segment or a memtable, becomes files of its own, named after the segment, its dead rows, the schema
and the options: what the snapshot before has under the same name is taken over, not written again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from nearrow.analytics.restore import read_metadata
from nearrow.analytics.snapshot_files import ParquetOptions, PartFiles, check_columns, entry_of
from nearrow.analytics.snapshot_metadata import (
    GRAPH,
    LAYERS,
    METADATA_FILE,
    NEIGHBORS,
    VECTORS,
    SnapshotMetadata,
    file_of,
)
from nearrow.analytics.snapshot_place import NewFile, Output, Place
from nearrow.errors import AlreadyExistsError
from nearrow.schema import CollectionConfig
from nearrow.segment.part import SegmentPart
from nearrow.segment.view import Part, View
from nearrow.storage.manifest import FileEntry
from nearrow.storage.published import digest

KEY_DIGITS = 16


def write_snapshot(
    view: View, config: CollectionConfig, place: Place, options: ParquetOptions, base: Place | None = None
) -> SnapshotMetadata:
    """Make `place` a snapshot of the alive rows of `view` and its graphs.

    A snapshot of the same collection that lies there is replaced; AlreadyExistsError if anything else does. `base`: where
    the snapshot lies whose unchanged files are taken over; by default it is the one that is replaced.
    """
    check_columns(view.schema)
    replaced = _snapshot_at(place, config.name)
    base, before = (place, replaced) if base is None else (base, _snapshot_at(base, config.name))
    with place.writing() as output:
        files: dict[str, FileEntry] = {}
        for name, write in _files(view, options):
            known = None if before is None else before.files.get(name)
            if known is not None and output.reuse(name, known, base):
                files[name] = known
            else:
                files[name] = _written(output, name, write)
        metadata = SnapshotMetadata(config, view.schema, view.count, time.time_ns() // 1000, files)
        sink = pa.BufferOutputStream()
        pq.write_table(metadata.to_table(), sink)
        output.finish(sink.getvalue().to_pybytes(), files)
    return metadata


def _snapshot_at(place: Place, name: str) -> SnapshotMetadata | None:
    """The snapshot that lies there; None if nothing does."""
    if not place.has(METADATA_FILE):
        if place.is_empty():
            return None
        raise AlreadyExistsError(f"{place.where} exists and is no snapshot; one goes into a new directory")
    found = read_metadata(place)
    if found.config.name != name:
        raise AlreadyExistsError(f"{place.where} is a snapshot of {found.config.name!r}; take this one elsewhere")
    return found


Write = Callable[[NewFile], object]


def _files(view: View, options: ParquetOptions) -> list[tuple[str, Write]]:
    """The name of every file, and what writes it."""
    common = view.schema.serialize().to_pybytes() + options.to_json().encode()
    files: list[tuple[str, Write]] = []
    parts: list[Part | None] = [part for part in view.parts if part.alive_count]
    for part in parts or [None]:  # a table without any file would have no columns
        name = _name_of(part, common)
        tables = PartFiles(name, part, view, options)
        files.append((file_of(VECTORS, name), tables.write_vectors))
        files.append((file_of(NEIGHBORS, name), tables.write_neighbors))
        files.append((file_of(LAYERS, name), tables.write_layers))
        if part is not None and part.alive is None and part.graph is not None:
            files.append((file_of(GRAPH, name), _writes(part.graph.buffer)))
    return files


def _name_of(part: Part | None, common: bytes) -> str:
    """The same name means the same bytes, as far as rows and graph go."""
    if part is None:
        return f"empty-{digest(common)[:KEY_DIGITS]}"
    if not isinstance(part, SegmentPart):
        return f"memtable-{uuid4().hex}"
    alive = b"" if part.alive is None else part.alive.tobytes()
    graph = b"" if part.graph is None else b"graph"
    return f"{part.id}-{digest(common + graph + alive)[:KEY_DIGITS]}"


def _writes(buffer: pa.Buffer) -> Write:
    return lambda file: file.write(buffer)


def _written(output: Output, name: str, write: Write) -> FileEntry:
    with output.create(name) as file:
        write(file)
        return entry_of(file)
