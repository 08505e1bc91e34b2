"""Files: is what lies in the text folder what Tantivy wrote, and was it made with these settings?

Tantivy maps its files and trusts them. So they are looked at first: every file that ``meta.json`` names must be there
and end in Tantivy's footer, and, up to a number of bytes, its CRC32 must hold (a `check()` passes no limit). Any doubt
is a RebuildNeededError: rebuilding is always possible and always right.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import zlib
from collections.abc import Sequence
from typing import Any

from nearrow.index.text.compile import ROW, column_name
from nearrow.index.text.documents import MARK, NUMBERS
from nearrow.index.text.settings import RebuildNeededError, TextField

META = "meta.json"
SEGMENT_FILES = ("term", "idx", "pos", "store", "fast", "fieldnorm")
FOOTER_MAGIC = 1337
_ENDING = struct.Struct("<II")


def has_index(path: str) -> bool:
    return os.path.exists(os.path.join(path, META))


def is_empty(path: str) -> bool:
    """No index has been here: there is no folder, or nothing in it."""
    return not os.path.isdir(path) or not os.listdir(path)


def read_meta(path: str, fields: Sequence[TextField]) -> dict[str, Any]:
    """Tantivy's list of segments, after its schema was compared with the fields asked for."""
    try:
        with open(os.path.join(path, META), "rb") as file:
            meta = json.loads(file.read())
        schema = [_essence(entry) for entry in meta["schema"]]
        segments = [(str(s["segment_id"]), int(s["max_doc"])) for s in meta["segments"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RebuildNeededError(f"text/{META} cannot be read ({error}); the text index must be rebuilt") from None
    expected: list[tuple[str, str, str | None]] = [(name, "u64", None) for name in NUMBERS]
    expected += [(column_name(number), "text", field.analysis) for number, field in enumerate(fields)]
    if schema != expected:
        raise RebuildNeededError(
            "the text index was made with other fields or settings, or an older version; it must be rebuilt"
        )
    if len({segment for segment, _ in segments}) != len(segments) or any(rows < 1 for _, rows in segments):
        raise RebuildNeededError(f"text/{META} lists impossible segments; the text index must be rebuilt")
    assert isinstance(meta, dict)
    return meta


def check_files(path: str, meta: dict[str, Any], *, bytes_max: int | None) -> None:
    """Footers of all files, and checksums of the first `bytes_max` bytes' worth of files (None: of all)."""
    budget = float("inf") if bytes_max is None else bytes_max
    for name in segment_files(meta):
        budget -= _check_file(path, name, budget)


def segment_files(meta: dict[str, Any]) -> list[str]:
    names: list[str] = []
    for segment in meta["segments"]:
        stem = str(segment["segment_id"]).replace("-", "")
        names += [f"{stem}.{extension}" for extension in SEGMENT_FILES]
        deletes = segment.get("deletes")
        if deletes:
            names.append(f"{stem}.{deletes['opstamp']}.del")
    return names


def holds_deleted(meta: dict[str, Any]) -> bool:
    """Whether the files still hold the words of documents that were deleted: they stay until their segment is merged."""
    return any(segment.get("deletes") for segment in meta["segments"])


def folder_bytes(path: str) -> int:
    """Bytes of all files in the folder; files that vanish meanwhile count nothing."""
    total = 0
    with os.scandir(path) as entries:
        for entry in entries:
            try:
                total += entry.stat().st_size
            except FileNotFoundError:
                continue
    return total


def _check_file(path: str, name: str, budget: float) -> int:
    try:
        with open(os.path.join(path, name), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < _ENDING.size:
                raise ValueError("it is too short")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                length, magic = _ENDING.unpack(data[-_ENDING.size :])
                body = size - _ENDING.size - length
                if magic != FOOTER_MAGIC or body < 0:
                    raise ValueError("it has no footer")
                stated = json.loads(data[body : body + length])["crc"]
                if size <= budget:
                    with memoryview(data) as view, view[:body] as content:
                        if zlib.crc32(content) != stated:
                            raise ValueError("its checksum does not match")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RebuildNeededError(f"text/{name}: {error}; the text index must be rebuilt") from None
    return size


def _essence(entry: dict[str, Any]) -> tuple[str, str, str | None]:
    options = entry["options"]
    if entry["type"] == "text":
        indexing = options["indexing"]
        if not (indexing["record"] == "position" and indexing["fieldnorms"] is True):
            raise ValueError("a field without positions")
        return entry["name"], "text", indexing["tokenizer"]
    if not options["fast"] or bool(options["indexed"]) != (entry["name"] in (ROW, MARK)):
        raise ValueError("a number field of another kind")
    return entry["name"], entry["type"], None


__all__ = [
    "META",
    "check_files",
    "folder_bytes",
    "has_index",
    "holds_deleted",
    "is_empty",
    "read_meta",
    "segment_files",
]
