"""Remains: which folder does a killed process leave to the next one?

A test has no second process to kill: it abandons its writer and goes on with a copy of the folder. tantivy's merging threads
do not know that they are dead, and may replace files of `text/` while it is copied. A file that vanished between the listing
and the copy is missing in the copy, as in a picture of the disk taken over some time: the text index is derived, and is
opened, or rebuilt, from what is there. Any other file must not vanish, because nothing else is running.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from nearrow.write.texts import TEXT_FOLDER


def leave_copy(old: Path, new: Path) -> None:
    """Copy the library `old` to `new`; shutil.Error if a file vanishes that is not of a text index."""
    shutil.copytree(old, new, copy_function=_copy)


def _copy(source: str, target: str) -> str:
    try:
        return shutil.copy2(source, target)
    except FileNotFoundError:
        if Path(source).parent.name != TEXT_FOLDER:
            raise
        return target
