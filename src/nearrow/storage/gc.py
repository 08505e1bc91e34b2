"""Garbage: which files may go now?

A file goes only if no kept manifest names it, and only under the exclusive LEASE: readers hold it shared while they map
the files of a version (rule 7). What is newer than the kept manifests is never touched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from nearrow.errors import CorruptionError, LockedError
from nearrow.storage.directory import TEMPORARY_SUFFIX, Directory
from nearrow.storage.log_format import LOG_FOLDER, log_name, log_seq
from nearrow.storage.log_reader import begins_anew
from nearrow.storage.manifest import Manifest

LEASE = "LEASE"
SEGMENT_FOLDER = "segments"
_MANIFEST = re.compile(r"manifest-(\d+)\.json")


def referenced_names(*manifests: Manifest) -> set[str]:
    """The names that these manifests need: themselves, their segments' files, the first log of each."""
    names: set[str] = set()
    for manifest in manifests:
        names.add(manifest.file_name)
        if manifest.log_first_seq:
            names.add(log_name(manifest.log_first_seq))
        for segment in manifest.segments:
            names.update(segment.all_files())
    return names


def retire(directory: Directory, keep: Iterable[str]) -> list[str] | None:
    """Deletes what `keep` does not name and returns the names deleted; None if readers hold the lease now (try later).

    `keep` names files, or whole folders ("segments/<id>" of one that is being written). Manifests and logs go only if
    they are older than the oldest one kept. REQUIRES the writer's lock.
    """
    try:
        lease = directory.lock(LEASE, exclusive=True)
    except LockedError:
        return None
    with lease:
        kept = set(keep)
        manifests = _old_manifests(directory, kept)
        _unlink(directory, "", manifests)  # first, so that no manifest ever names a missing file
        return manifests + _old_logs(directory, kept) + _unnamed_segments(directory, kept)


def clean_temporary(directory: Directory) -> list[str]:
    """Deletes unpublished leftovers of a crash, and makes durable what the last writer renamed and could not sync.

    REQUIRES the writer's lock, before the first write of this process.
    """
    removed = []
    for folder in ("", LOG_FOLDER):
        stale = [_join(folder, name) for name in directory.list(folder) if name.endswith(TEMPORARY_SUFFIX)]
        for name in stale:
            directory.unlink(name)
        if folder == "" or directory.exists(folder):
            directory.sync_folder(folder)
        removed += stale
    return removed


def remove_interrupted_log(directory: Directory, manifest: Manifest) -> list[str]:
    """Deletes the log that a repair began and died before a manifest named it; else it would pass for one after a gap.

    It follows no log, holds no record, and its number leaves a gap. REQUIRES the writer's lock, and the newest manifest.
    """
    seqs = sorted(seq for name in directory.list(LOG_FOLDER) if (seq := log_seq(name)) is not None)
    if len(seqs) < 2 or seqs[-1] <= manifest.log_first_seq or seqs[-1] == seqs[-2] + 1:
        return []
    try:
        if not begins_anew(directory, seqs[-1]):
            return []
    except CorruptionError:  # not for this function to judge: opening raises it, and repair sets the file aside
        return []
    name = log_name(seqs[-1])
    _unlink(directory, LOG_FOLDER, [name])
    return [name]


def _old_manifests(directory: Directory, kept: set[str]) -> list[str]:
    numbers = {name: int(match[1]) for name in directory.list() if (match := _MANIFEST.fullmatch(name))}
    oldest = min((number for name, number in numbers.items() if name in kept), default=0)
    return sorted(name for name, number in numbers.items() if number < oldest)


def _old_logs(directory: Directory, kept: set[str]) -> list[str]:
    logs = {seq: f"{LOG_FOLDER}/{name}" for name in directory.list(LOG_FOLDER) if (seq := log_seq(name)) is not None}
    oldest = min((seq for seq, name in logs.items() if name in kept), default=0)
    old = [name for seq, name in sorted(logs.items()) if seq < oldest]
    _unlink(directory, LOG_FOLDER, old)
    return old


def _unnamed_segments(directory: Directory, kept: set[str]) -> list[str]:
    removed: list[str] = []
    for segment in directory.list(SEGMENT_FOLDER):
        folder = f"{SEGMENT_FOLDER}/{segment}"
        if folder in kept:
            continue
        names = [f"{folder}/{name}" for name in directory.list(folder)]
        unnamed = [name for name in names if name not in kept]
        if len(unnamed) == len(names):
            directory.remove_folder(folder)
        else:
            _unlink(directory, folder, unnamed)
        removed += unnamed
    return removed


def _unlink(directory: Directory, folder: str, names: list[str]) -> None:
    for name in names:
        directory.unlink(name)
    if names:
        directory.sync_folder(folder)


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
