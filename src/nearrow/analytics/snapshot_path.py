"""Snapshot path: where on this machine is the directory that a user names?"""

from __future__ import annotations

import mmap
import os
import re
import stat
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from nearrow.errors import CorruptionError, InvalidArgumentError, NotFoundError
from nearrow.storage.os_errors import translated

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+)://")


def local_path(path: str | os.PathLike[str]) -> str:
    """The absolute path; InvalidArgumentError for an address that is not of this machine's files."""
    text = os.fspath(path)
    if not isinstance(text, str) or not text or "\0" in text:
        raise InvalidArgumentError(f"a snapshot's path is a directory's name, not {path!r}")
    scheme = _SCHEME.match(text)
    if scheme is None:
        return os.path.abspath(text)
    address = urlsplit(text)
    if address.scheme != "file" or address.netloc not in ("", "localhost"):
        raise InvalidArgumentError(
            f"snapshots at {scheme[1]}:// are not there yet; take one into a local directory and copy that"
        )
    return os.path.abspath(unquote(address.path))


def map_regular(folder: str, name: str) -> pa.Buffer:
    """The bytes of a plain file of the folder, mapped; CorruptionError if it is missing, empty, or a link to elsewhere."""
    path = os.path.join(folder, name)
    if not os.path.isdir(folder):
        raise NotFoundError(f"{folder}: no such directory, so no snapshot")
    if not os.path.lexists(path):
        raise CorruptionError(f"{path}: missing; this is not a whole snapshot")
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise CorruptionError(f"{path}: not a plain file; a snapshot has no links in it")
    with translated("open", path):
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        if os.fstat(descriptor).st_size == 0:
            raise CorruptionError(f"{path}: empty; this is not a whole snapshot")
        with translated("map", path):
            return pa.py_buffer(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))
    finally:
        os.close(descriptor)
