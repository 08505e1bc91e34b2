"""Opening: is there an index in the folder that can be trusted, or must one be begun?"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence

import tantivy

from nearrow.errors import StorageError
from nearrow.index.text import files
from nearrow.index.text.compile import Compiler
from nearrow.index.text.settings import RebuildNeededError, TextField
from nearrow.index.text.view import native

READ_ATTEMPTS = 20


def load(
    path: str | None,
    schema: tantivy.Schema,
    compiler: Compiler,
    *,
    read_only: bool,
    verify_bytes_max: int | None,
) -> tantivy.Index:
    """Tantivy's index in `path` (None: in memory), begun if the folder is empty; raises RebuildNeededError."""
    if path is None:
        return _ready(tantivy.Index(schema), compiler)
    if not files.has_index(path):
        if read_only or not files.is_empty(path):
            raise RebuildNeededError("there is no whole text index in the folder; it must be built")
        try:
            os.makedirs(path, exist_ok=True)
            return _ready(tantivy.Index(schema, path), compiler)
        except (OSError, ValueError) as error:
            raise StorageError(f"the text index cannot be created: {error}; check space and permissions") from error
    verify(path, list(compiler.fields.values()), verify_bytes_max)
    if lockable(path):
        return native(lambda: _ready(tantivy.Index.open(path), compiler))
    with tempfile.TemporaryDirectory(prefix="nearrow-text-") as stand_in:
        _link_files(path, stand_in)
        return native(lambda: _ready(tantivy.Index.open(stand_in), compiler))


def lockable(path: str) -> bool:
    """Whether Tantivy can open the folder itself: even to read, it locks a file there, which a read-only mount refuses."""
    return os.access(path, os.W_OK)


def _link_files(path: str, stand_in: str) -> None:
    """Links to the index's files, in a folder where one can be locked; once they are mapped it may go."""
    for name in os.listdir(path):
        if not name.startswith("."):
            os.symlink(os.path.join(os.path.abspath(path), name), os.path.join(stand_in, name))


def verify(path: str, fields: Sequence[TextField], bytes_max: int | None) -> None:
    """Check the files; a reader may find some gone because the writer merged meanwhile, and then looks again."""
    for attempt in range(READ_ATTEMPTS):
        meta = files.read_meta(path, fields)
        try:
            files.check_files(path, meta, bytes_max=bytes_max)
            break
        except RebuildNeededError:
            if attempt + 1 == READ_ATTEMPTS or files.read_meta(path, fields) == meta:
                raise


def _ready(index: tantivy.Index, compiler: Compiler) -> tantivy.Index:
    for name, field in compiler.fields.items():
        index.register_tokenizer(field.analysis, compiler.analyzers[name].indexing)
    index.config_reader("manual")
    return index


__all__ = ["load", "lockable", "verify"]
