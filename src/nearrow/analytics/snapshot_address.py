"""Snapshot address: which place does a user name by a path or a URL?"""

from __future__ import annotations

import os
import re
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from pyarrow import fs

from nearrow.analytics.snapshot_local import LocalPlace
from nearrow.analytics.snapshot_place import Place, storage_errors
from nearrow.analytics.snapshot_remote import RemotePlace
from nearrow.errors import InvalidArgumentError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+)://")


def place_of(path: str | os.PathLike[str], filesystem: fs.FileSystem | None = None) -> Place:
    """The place that a user names: a path, a URL, or a path in the file system given."""
    text = os.fspath(path)
    if not isinstance(text, str) or not text or "\0" in text:
        raise InvalidArgumentError(f"a snapshot's path is a directory's name or a URL, not {path!r}")
    if filesystem is not None:
        with storage_errors("use", text):
            return RemotePlace(filesystem, filesystem.normalize_path(text).rstrip("/"), text)
    scheme = _SCHEME.match(text)
    if scheme is None:
        return LocalPlace(os.path.abspath(text))
    address = urlsplit(text)
    if address.scheme == "file":
        if address.netloc not in ("", "localhost"):
            raise InvalidArgumentError(f"{text}: a file:// URL names no other machine; write file:///…")
        return LocalPlace(os.path.abspath(unquote(address.path)))
    try:
        found, inside = fs.FileSystem.from_uri(text)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InvalidArgumentError(
            f"{scheme[1]}:// is no address that pyarrow knows here ({error}); give filesystem= and a path in it"
        ) from error
    return RemotePlace(found, inside.rstrip("/"), f"{scheme[1]}://{inside}")
