"""Manifest: which segments make up the collection right now?

`manifest-<number>.json`, immutable and numbered; see docs/formats/manifest.md. One line of canonical JSON behind its
own digest, so that every byte is covered. Two generations are kept (rule 2); the newest one counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from nearrow.errors import (
    CorruptionError,
    IncompatibleFormatError,
    InvalidArgumentError,
    NearrowError,
    NotFoundError,
    StorageError,
)
from nearrow.storage.directory import Directory
from nearrow.storage.published import digest

FORMAT_VERSION = 1
KNOWN_FEATURES: frozenset[str] = frozenset()
GENERATION = "GENERATION"  # watermark: the highest number ever committed, to notice a deleted newest manifest

_FILE_NAME = re.compile(r"manifest-(\d{1,18})\.json")
_ENVELOPE = re.compile(
    rb'\{"format":"nearrow-manifest-(\d{1,9})","digest":"([0-9a-f]{32})","manifest":(\{.*\})\}\n', re.DOTALL
)
_ADVICE = "run check(), then repair() or restore a snapshot"


@dataclass(frozen=True)
class FileEntry:
    """What a file must be: its bytes and their xxh3-128."""

    length: int
    digest: str


@dataclass(frozen=True)
class DeadEntry:
    """The bitmap of a segment's dead rows; `file` is relative to the segment's folder."""

    file: str
    count: int
    length: int
    digest: str


@dataclass(frozen=True)
class SegmentEntry:
    """One immutable segment; file names are relative to `segments/<id>`."""

    id: str
    rows: int
    files: Mapping[str, FileEntry]
    dead: DeadEntry | None = None
    min_row: int = 0
    max_row: int = 0

    @property
    def folder(self) -> str:
        return f"segments/{self.id}"

    def path(self, file: str) -> str:
        return f"segments/{self.id}/{file}"

    def all_files(self) -> dict[str, FileEntry]:
        """Full name → entry, the dead-row bitmap included."""
        found = {self.path(name): entry for name, entry in self.files.items()}
        if self.dead is not None:
            found[self.path(self.dead.file)] = FileEntry(self.dead.length, self.dead.digest)
        return found


@dataclass(frozen=True)
class Manifest:
    """One version of a collection. All log records ≤ `lsn` are in the segments; later ones in log `log_first_seq` on.

    `log_first_seq` 0 means that there is no log yet. `created_at` is in microseconds since 1970, given by the caller.
    """

    uuid: str
    number: int
    config: Mapping[str, Any]
    schema: str  # base64 of the Arrow IPC schema
    id_type: str | None
    next_row: int
    segments: tuple[SegmentEntry, ...]
    log_first_seq: int
    lsn: int
    epoch: int
    previous_digest: str | None
    created_at: int
    features: tuple[str, ...] = ()
    format_version: int = FORMAT_VERSION
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def file_name(self) -> str:
        return file_name(self.number)

    @cached_property
    def _body(self) -> bytes:
        return _canonical(asdict(self))

    @cached_property
    def digest(self) -> str:
        """What the next manifest states as its `previous_digest`."""
        return digest(self._body)

    def to_bytes(self) -> bytes:
        head = f'{{"format":"nearrow-manifest-{self.format_version}","digest":"{self.digest}","manifest":'
        return head.encode() + self._body + b"}\n"

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "manifest") -> Manifest:
        """CorruptionError if a byte is wrong, IncompatibleFormatError if a newer Nearrow wrote it."""
        match = _ENVELOPE.fullmatch(data)
        if match is None:
            raise CorruptionError(f"{name}: not a manifest (torn or overwritten); {_ADVICE}")
        if int(match[1]) != FORMAT_VERSION:
            raise IncompatibleFormatError(
                f"{name}: format {int(match[1])}, this Nearrow reads {FORMAT_VERSION}; upgrade Nearrow"
            )
        if digest(match[3]) != match[2].decode():
            raise CorruptionError(f"{name}: digest mismatch; {_ADVICE}")
        try:
            body = json.loads(match[3])
            _refuse_unknown(body, name)
            return cls._from_json(body)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if isinstance(error, NearrowError):
                raise
            raise CorruptionError(f"{name}: malformed ({error}); {_ADVICE}") from error

    @classmethod
    def _from_json(cls, body: dict[str, Any]) -> Manifest:
        segments = []
        for one in body.pop("segments"):
            files = {str(name): FileEntry(**entry) for name, entry in one.pop("files").items()}
            dead = one.pop("dead")
            segments.append(SegmentEntry(files=files, dead=DeadEntry(**dead) if dead else None, **one))
        if len({segment.id for segment in segments}) < len(segments):
            raise ValueError("it names a segment twice")
        features = tuple(body.pop("features"))
        return cls(segments=tuple(segments), features=features, **body)


def file_name(number: int) -> str:
    return f"manifest-{number:08d}.json"


def generations(directory: Directory) -> list[int]:
    """The numbers of the manifests present, ascending."""
    matches = (_FILE_NAME.fullmatch(name) for name in directory.list())
    return sorted(int(match[1]) for match in matches if match is not None)


def load(directory: Directory, number: int) -> Manifest:
    """One generation; NotFoundError if it is not there."""
    name = file_name(number)
    manifest = Manifest.from_bytes(directory.read(name), name)
    if manifest.number != number:
        raise CorruptionError(f"{name}: says that it is number {manifest.number}; {_ADVICE}")
    return manifest


def load_newest(directory: Directory) -> Manifest | None:
    """The manifest that counts; None for a directory that has none.

    There is no silent fall-back: a manifest is durable before it gets its name, so a damaged newest one was whole once,
    and what it alone stated (a bulk load, a merge whose inputs are gone) cannot be proven to be elsewhere: then it is a
    CorruptionError; repair() may choose the previous generation and says what that loses.
    """
    with closing(directory.watermark(GENERATION)) as generation:
        highest = generation.get()  # before the listing: a writer may commit between the two
    numbers = generations(directory)
    if highest > (numbers[-1] if numbers else 0):
        raise CorruptionError(f"{file_name(highest)}: missing, but it was committed; {_ADVICE}")
    if not numbers:
        return None
    newest = load(directory, numbers[-1])
    if len(numbers) > 1 and numbers[-2] == newest.number - 1:
        _check_chain(directory, newest)
    return newest


def commit(directory: Directory, manifest: Manifest) -> Manifest:
    """Publishes `manifest` by rule 1; its segments' files must be synced already. Returns it.

    REQUIRES the writer's lock. After any error the caller must reopen: the manifest may or may not be durable.
    """
    _check_commit(directory, manifest)
    data = manifest.to_bytes()
    if Manifest.from_bytes(data, manifest.file_name).digest != manifest.digest:
        raise InvalidArgumentError(f"{manifest.file_name}: config or extra do not survive JSON; use plain JSON values")
    directory.publish(manifest.file_name, data)
    with closing(directory.watermark(GENERATION)) as generation:
        generation.set(manifest.number)
    return manifest


def _check_commit(directory: Directory, manifest: Manifest) -> None:
    numbers = generations(directory)
    expected = numbers[-1] + 1 if numbers else 1
    if manifest.number != expected:
        raise StorageError(f"{manifest.file_name}: the next manifest is number {expected}; reopen the collection")
    if numbers and manifest.previous_digest != load(directory, numbers[-1]).digest:
        raise StorageError(f"{manifest.file_name}: was not made from the newest version; reopen the collection")
    for segment in manifest.segments:
        for name, entry in segment.all_files().items():
            if directory.size(name) != entry.length:
                raise StorageError(f"{name}: {directory.size(name)} bytes, not the {entry.length} to be committed")


def _check_chain(directory: Directory, newest: Manifest) -> None:
    try:
        previous = load(directory, newest.number - 1)
    except (CorruptionError, NotFoundError):
        return  # the newest one is whole and is all that is needed; check() reports the other
    if newest.previous_digest != previous.digest:
        raise CorruptionError(
            f"{newest.file_name}: does not follow {previous.file_name}; are these files of two databases? {_ADVICE}"
        )


def _refuse_unknown(body: dict[str, Any], name: str) -> None:
    unknown = sorted(set(map(str, body["features"])) - KNOWN_FEATURES)
    if body["format_version"] != FORMAT_VERSION or unknown:
        raise IncompatibleFormatError(f"{name}: needs {unknown or body['format_version']}; upgrade Nearrow")


def _canonical(value: Any) -> bytes:
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(f"manifest: config or extra are not plain JSON values ({error})") from error
