"""Drop: how does a collection go, so that a crash in the middle leaves no half of it?

An empty file says that it is dropped, durably; then the rest goes, and that file last. Whoever makes or drops a collection
next, under the catalogue's lock, ends what a crash interrupted.
"""

from __future__ import annotations

from nearrow.storage.directory import Directory

DROPPED = "DROPPED"


def is_dropped(directory: Directory, folder: str) -> bool:
    """Whether the collection in this folder is gone, however much of it still lies there."""
    return directory.exists(f"{folder}/{DROPPED}") or not directory.exists(folder)


def drop(directory: Directory, folder: str) -> None:
    """Delete the collection in `folder`. REQUIRES: the catalogue's lock. Raises LockedError if someone has it open."""
    with directory.folder(folder).lock("LOCK", exclusive=True):
        directory.publish(f"{folder}/{DROPPED}", b"")
    _remove(directory, folder)


def finish_drops(directory: Directory, above: str) -> None:
    """Remove what interrupted drops left below `above`. REQUIRES: the catalogue's lock."""
    for entry in directory.list(above):
        if directory.exists(f"{above}/{entry}/{DROPPED}"):
            _remove(directory, f"{above}/{entry}")


def _remove(directory: Directory, folder: str) -> None:
    for entry in directory.list(folder):
        if entry != DROPPED:
            directory.remove_folder(f"{folder}/{entry}")
            if directory.exists(f"{folder}/{entry}"):
                directory.unlink(f"{folder}/{entry}")
    directory.sync_folder(folder)  # or a power cut could take the mark and leave the rest
    directory.remove_folder(folder)
    directory.sync_folder(folder.rpartition("/")[0])
