"""Flips every byte of one file of a small segment, opens it each time, and uses all of it.

Usage: flip_bytes.py <file> <eager|lazy> <mask>. Run in a process of its own, for a native crash would end it. Prints how
many flips raised a typed error, were harmless, or (lazy only) changed values that `verify` then reported; anything else
is an AssertionError. "lazy" is how big files are opened: their digest is left to `verify`.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
from segment_rows import rich_rows

from nearrow.errors import NearrowError
from nearrow.index.hnsw import flat_search
from nearrow.segment import format as segment_format
from nearrow.segment.reader import Segment
from nearrow.segment.writer import write_segment
from nearrow.storage.manifest import SegmentEntry
from nearrow.storage.memory import MemoryDirectory

ROWS = rich_rows()
COLUMNS = ROWS.column_names
QUERY = np.ones((1, 8), np.float32)


def read_everything(segment: Segment) -> dict[str, Any]:
    """All that a collection asks of a segment."""
    return {
        "rows": segment.table.select(COLUMNS).to_pylist(),
        "found": segment.find(ROWS["id"]).tolist(),
        "ids": segment.ids_at(np.arange(len(ROWS))).tolist(),
        "located": segment.locate(ROWS["_row"].to_numpy()).tolist(),
        "taken": segment.take(np.array([5, 0]), COLUMNS).to_pylist(),
        "nearest": flat_search(segment.vectors, "l2", QUERY, 6)[0].tolist(),
    }


def opened(directory: MemoryDirectory, entry: SegmentEntry) -> Segment:
    try:
        return Segment.open(directory, entry, ROWS.schema, metric="l2")
    except NearrowError:
        raise
    except Exception as error:
        raise SystemExit(f"open raised {error!r}") from error


def outcome(
    directory: MemoryDirectory, entry: SegmentEntry, truth: dict[str, Any], zones: dict[str, Any], rows_too: bool
) -> str:
    now: dict[str, Any] = {}
    message = ""
    try:
        segment = opened(directory, entry)
        now = read_everything(segment) if rows_too else truth
        assert all(zone is None or zone == zones[name] for name, zone in zones_of(segment).items())
    except NearrowError as error:
        message = str(error)
    except (pa.ArrowException, ValueError, OverflowError):  # a value that Python cannot show; only a digest can know
        now = {}
    if message:
        assert "segments/s/" in message, message
        return "typed error"
    if now == truth:
        return "harmless"
    assert opened(directory, entry).verify(), "changed values went unnoticed"
    assert segment_format.EAGER_DIGEST_BYTES == 0, "changed values went through an eager open"
    return "changed values, found by verify"


def zones_of(segment: Segment) -> dict[str, Any]:
    return {name: segment.zone_map(name) for name in COLUMNS}


def main(file: str, mode: str, mask: int) -> None:
    segment_format.EAGER_DIGEST_BYTES = 1 << 20 if mode == "eager" else 0
    whole = MemoryDirectory()
    entry = write_segment(whole, "s", ROWS, batch_rows=4)
    sound = Segment.open(whole, entry, ROWS.schema, metric="l2")
    truth, zones = read_everything(sound), zones_of(sound)
    contents = {name: whole.read(entry.path(name)) for name in entry.files}
    counts: Counter[str] = Counter()
    for position in range(len(contents[file])):
        directory = MemoryDirectory()
        directory.make_folder(entry.folder)
        for name, content in contents.items():
            data = bytearray(content)
            if name == file:
                data[position] ^= mask
            with directory.create(entry.path(name)) as output:
                output.write(bytes(data))
        counts[outcome(directory, entry, truth, zones, file != segment_format.ZONES_FILE)] += 1
    print(json.dumps(counts))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
