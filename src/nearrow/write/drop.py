"""Drop: how does a collection go, so that a crash in the middle leaves no half of it?

An empty file says that it is dropped, durably; then the rest goes, and that file last. Whoever makes or drops a collection
next, under the catalogue's lock, ends what a crash interrupted: a drop, or a creation that never got its first manifest.
"""

from __future__ import annotations

from contextlib import closing

from nearrow.errors import CorruptionError, LockedError, NearrowError, NotFoundError
from nearrow.segment.format import SEGMENTS_FOLDER
from nearrow.storage.directory import TEMPORARY_SUFFIX, Directory, Lock
from nearrow.storage.gc import LEASE
from nearrow.storage.log_format import LOG_FOLDER, log_seq
from nearrow.storage.log_reader import WATERMARK, begins_anew
from nearrow.storage.manifest import GENERATION, Manifest, generations, load_newest
from nearrow.write.open import LOCK

DROPPED = "DROPPED"
NEW = "NEW"
"""Held by whoever makes a collection of many rows, until its first manifest is there."""

_BEFORE_THE_FIRST_MANIFEST = {LOCK, LEASE, WATERMARK, GENERATION, LOG_FOLDER, NEW, SEGMENTS_FOLDER}


def is_dropped(directory: Directory, folder: str) -> bool:
    """Whether the collection in this folder is gone, however much of it still lies there."""
    return directory.exists(f"{folder}/{DROPPED}") or not directory.exists(folder)


def newest_manifest(directory: Directory, folder: str) -> Manifest | None:
    """The manifest that counts; None for what is dropped, or was never whole."""
    try:
        return load_newest(directory.folder(folder))
    except (CorruptionError, NotFoundError):
        if is_dropped(directory, folder):  # meanwhile, by another process
            return None
        raise


def drop(directory: Directory, folder: str) -> None:
    """Delete the collection in `folder`. REQUIRES: the catalogue's lock. Raises LockedError if someone has it open."""
    with directory.folder(folder).lock(LOCK, exclusive=True):
        directory.publish(f"{folder}/{DROPPED}", b"")
    _remove(directory, folder)


def begin_new(directory: Directory, folder: str) -> Lock:
    """Make the folder of a collection whose rows are yet to come. REQUIRES: the catalogue's lock."""
    directory.make_folder(folder)
    return directory.folder(folder).lock(NEW, exclusive=True)


def end_new(directory: Directory, folder: str, lock: Lock) -> None:
    """The first manifest is there."""
    lock.release()
    if directory.exists(f"{folder}/{NEW}"):
        directory.unlink(f"{folder}/{NEW}")


def finish_drops(directory: Directory, above: str) -> None:
    """Remove what interrupted drops and creations left below `above`. REQUIRES: the catalogue's lock."""
    for entry in directory.list(above):
        folder = f"{above}/{entry}"
        if directory.exists(f"{folder}/{DROPPED}"):
            _remove(directory, folder)
        elif _never_was(directory.folder(folder)):
            try:
                drop(directory, folder)
            except LockedError:  # someone makes it right now
                continue


def _never_was(folder: Directory) -> bool:
    """Whether a creation ended before this became a collection: no manifest, no trace of one, and nothing written to it."""
    if generations(folder) or not set(_published(folder)) <= _BEFORE_THE_FIRST_MANIFEST:
        return False
    for name in (GENERATION, WATERMARK):
        if folder.exists(name):
            with closing(folder.watermark(name)) as mark:
                if mark.get():
                    return False
    try:
        if not all(log_seq(name) == 1 and begins_anew(folder, 1) for name in _published(folder, LOG_FOLDER)):
            return False
    except NearrowError:  # a log that cannot be read may hold anything
        return False
    if folder.exists(NEW):
        return not folder.locked(NEW)
    return not folder.list(SEGMENTS_FOLDER)


def _published(directory: Directory, folder: str = "") -> list[str]:
    return [name for name in directory.list(folder) if not name.endswith(TEMPORARY_SUFFIX)]


def _remove(directory: Directory, folder: str) -> None:
    for entry in directory.list(folder):
        if entry != DROPPED:
            directory.remove_folder(f"{folder}/{entry}")
            if directory.exists(f"{folder}/{entry}"):
                directory.unlink(f"{folder}/{entry}")
    directory.sync_folder(folder)  # or a power cut could take the mark and leave the rest
    directory.remove_folder(folder)
    directory.sync_folder(folder.rpartition("/")[0])
