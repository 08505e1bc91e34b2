"""Watermark: how does a reader process learn what the writer has made durable?

Eight bytes in a shared mapping, stored by one aligned write: the low 48 bits are the value, the high 16 bits check it,
so that damage reads as 0 = unknown. It is never fsynced on the write path, thus only a lower bound after a power loss.
"""

from __future__ import annotations

import mmap
import os

from google_crc32c import value as crc32c

from nearrow.errors import InvalidArgumentError, ReadOnlyError

WATERMARK_BYTES = 8
VALUE_MAX = (1 << 48) - 1


def encode(value: int) -> int:
    """The u64 that stands for `value`; 0 stays 0."""
    if not 0 <= value <= VALUE_MAX:
        raise InvalidArgumentError(f"watermark {value} is not in 0 … 2**48 - 1")
    return 0 if value == 0 else value | (_check(value) << 48)


def decode(word: int) -> int:
    """The value of `word`, or 0 if it does not check."""
    value = word & VALUE_MAX
    return value if value and word >> 48 == _check(value) else 0


def _check(value: int) -> int:
    crc: int = crc32c(value.to_bytes(6, "little"))
    return ((crc >> 16) ^ crc) & 0xFFFF


class MappedWatermark:
    """The watermark in a local file. `get` is safe in any thread and process; `set` is the writer's."""

    def __init__(self, path: str, *, read_only: bool) -> None:
        self._path = path
        self._read_only = read_only
        self._map: mmap.mmap | None = None
        self._words: memoryview | None = None
        if read_only:
            self._open_existing()
        else:
            self._open_writable()

    def get(self) -> int:
        words = self._words
        if words is None:
            self._open_existing()  # a reader may come before the first writer
            words = self._words
        return 0 if words is None else decode(words[0])

    def set(self, value: int) -> None:
        if self._read_only or self._words is None:
            raise ReadOnlyError(f"{self._path}: a watermark opened for reading cannot be set")
        self._words[0] = encode(value)

    def sync(self) -> None:
        if self._map is not None and not self._read_only:
            self._map.flush()

    def close(self) -> None:
        if self._words is not None:
            self._words.release()
            self._words = None
        if self._map is not None:
            self._map.close()
            self._map = None

    def _open_writable(self) -> None:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
        try:
            if os.fstat(descriptor).st_size < WATERMARK_BYTES:
                os.ftruncate(descriptor, WATERMARK_BYTES)  # grows only: others may have it mapped
            self._map = mmap.mmap(descriptor, WATERMARK_BYTES)
        finally:
            os.close(descriptor)
        self._words = memoryview(self._map).cast("Q")

    def _open_existing(self) -> None:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except OSError:
            return
        try:
            if os.fstat(descriptor).st_size >= WATERMARK_BYTES:
                self._map = mmap.mmap(descriptor, WATERMARK_BYTES, access=mmap.ACCESS_READ)
                self._words = memoryview(self._map).cast("Q")
        finally:
            os.close(descriptor)
