"""Versions: what do small manifests and segments look like, for tests?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nearrow.storage.directory import Directory
from nearrow.storage.manifest import DeadEntry, FileEntry, Manifest, SegmentEntry
from nearrow.storage.published import digest


def first_manifest() -> Manifest:
    return Manifest(
        uuid="6c1f8c1e-0000-4000-8000-000000000000",
        number=1,
        config={"name": "docs", "dimension": 384, "ml": None, "text_fields": ["text"], "rate": 0.1},
        schema="AAAA",
        id_type="string",
        next_row=0,
        segments=(),
        log_first_seq=1,
        lsn=0,
        epoch=1,
        previous_digest=None,
        created_at=1_700_000_000_000_000,
    )


def write_segment(directory: Directory, segment_id: str) -> SegmentEntry:
    """A segment with a file of rows and dead rows, synced."""
    folder = f"segments/{segment_id}"
    directory.make_folder(folder)
    rows, dead = segment_id.encode() * 100, b"dead" + segment_id.encode()
    directory.publish(f"{folder}/rows.arrow", rows)
    directory.publish(f"{folder}/deletes-1", dead)
    return SegmentEntry(
        id=segment_id,
        rows=100,
        files={"rows.arrow": FileEntry(len(rows), digest(rows))},
        dead=DeadEntry("deletes-1", 3, len(dead), digest(dead)),
        min_row=0,
        max_row=99,
    )


def following(manifest: Manifest, **changes: Any) -> Manifest:
    return replace(manifest, number=manifest.number + 1, previous_digest=manifest.digest, **changes)
