"""Published files: are the bytes on disk those that were written?

A manifest names every file with its length and digest. Lengths are checked before a file is mapped (rule 8); digests of
small files at once, those of big ones by check().
"""

from __future__ import annotations

import pyarrow as pa
import xxhash

from nearrow.errors import CorruptionError, NotFoundError
from nearrow.storage.directory import BytesLike, Directory

_ADVICE = "run check(), then repair() or restore a snapshot"


def digest(data: BytesLike) -> str:
    """The xxh3-128 of the bytes, 32 hex digits."""
    return xxhash.xxh3_128_hexdigest(data)


class Digester:
    """The digest of bytes that come piece by piece."""

    def __init__(self) -> None:
        self._state = xxhash.xxh3_128()

    def update(self, data: BytesLike) -> None:
        self._state.update(data)

    def hexdigest(self) -> str:
        return self._state.hexdigest()


def map_published(directory: Directory, name: str, length: int, expected_digest: str | None = None) -> pa.Buffer:
    """Maps a file that a manifest names; CorruptionError if it is missing or not what the manifest says."""
    try:
        buffer = directory.map(name)
    except NotFoundError as error:
        raise CorruptionError(f"{name}: missing, but the manifest names it; {_ADVICE}") from error
    if buffer.size != length:
        raise CorruptionError(f"{name}: {buffer.size} bytes, but the manifest says {length}; {_ADVICE}")
    if expected_digest is not None and digest(buffer) != expected_digest:
        raise CorruptionError(f"{name}: the digest differs from the manifest's; {_ADVICE}")
    return buffer
