"""Log reader: which records does the log hold, and where does it end?

Recovery reads everything that is valid and decides whether what follows is an unacknowledged tail or lost data (rule
3). A reader process follows the log with `LogTail`, no further than the durable LSN (rule 5). Payloads are slices of
the mapped file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

from nearrow.errors import CorruptionError, IncompatibleFormatError, StorageError
from nearrow.storage.directory import Directory
from nearrow.storage.log_format import (
    FILE_HEADER,
    LOG_FOLDER,
    LOG_VERSION,
    FileHeader,
    Frame,
    decode_header,
    durable_after_damage,
    frames,
    log_name,
    log_seq,
    used_bytes,
)

WATERMARK = "WATERMARK"
_ADVICE = "run check(), then repair() or restore a snapshot"


class Record(NamedTuple):
    """One record: `payload` is a slice of the mapped log."""

    seq: int
    lsn: int
    epoch: int
    payload: pa.Buffer


@dataclass(frozen=True)
class LogEnd:
    """Where the log ends. `torn_bytes` follow the last valid record and belong to no acknowledged write.

    Up to `durable_lsn` (`durable_bytes` of log `seq`) records are proven to be on the disk; those up to `last_lsn` are
    valid, but perhaps only in the cache, and `LogWriter.resume` copies them.
    """

    seq: int  # 0 = there is no log
    next_seq: int
    epoch: int
    last_lsn: int
    chain: int
    valid_bytes: int
    torn_bytes: int
    durable_lsn: int
    durable_bytes: int
    durable_chain: int


class LogReader:
    """Iterates over the records of log `first_seq` and all after it; `end` is known when the iteration is over."""

    def __init__(
        self, directory: Directory, first_seq: int, *, after_lsn: int = 0, up_to_lsn: int | None = None, owner: int = 0
    ) -> None:
        """`first_seq` 0 = no log was begun (a new collection). Records in (`after_lsn`, `up_to_lsn`] are given.

        owner: whose the logs must be, if both sides say.
        """
        self._owner = owner
        self._directory = directory
        self._first_seq = first_seq
        self._after_lsn = after_lsn
        self._up_to_lsn = up_to_lsn
        self._end: LogEnd | None = None

    @property
    def end(self) -> LogEnd:
        if self._end is None:
            raise StorageError("the end of the log is known only after all of its records were read")
        return self._end

    def tail(self) -> LogTail:
        """Follows the log from where this reader ended."""
        end = self.end
        return LogTail(self._directory, end.seq or end.next_seq, end.valid_bytes, end.last_lsn, end.chain)

    def __iter__(self) -> Iterator[Record]:
        """CorruptionError, naming file and byte, where a durable record is missing or damaged."""
        proven = durable_lsn(self._directory)  # before the listing: what is durable now must be in the files listed
        if self._first_seq == 0:
            self._end = self._no_log(proven)
            return
        seqs = _consecutive(self._directory, self._first_seq)
        log, header = open_log(self._directory, seqs[0], self._owner)
        if header.first_lsn > self._after_lsn + 1:
            raise CorruptionError(
                f"{log_name(header.seq)}: begins with LSN {header.first_lsn}, but {self._after_lsn + 1} comes next; "
                f"{_ADVICE}"
            )
        for seq in seqs[1:]:
            following_log, following = open_log(self._directory, seq, self._owner)
            end = before_first(header)
            for frame in _all_frames(log, header, following.previous_bytes):
                if self._up_to_lsn is not None and frame.lsn > self._up_to_lsn:
                    self._end = _end_at(header, end, end, torn_bytes=0)
                    return
                end = frame
                if frame.lsn > self._after_lsn:
                    yield Record(header.seq, frame.lsn, header.epoch, frame.payload(log))
            _check_settled(header, end, following)
            log, header = following_log, following
        yield from self._last(log, header, proven)

    def _last(self, log: pa.Buffer, header: FileHeader, proven: int) -> Iterator[Record]:
        """The records of the last log, whose end only evidence can tell."""
        proven = max(proven, header.first_lsn - 1)  # the log before was settled and synced before this one got its name
        end = durable = before_first(header)
        unproven: deque[Frame] = deque()
        for frame in _all_frames(log, header, log.size):
            if self._up_to_lsn is not None and frame.lsn > self._up_to_lsn:
                self._end = _end_at(header, end, end, torn_bytes=0)
                return
            end = frame
            if frame.lsn > self._after_lsn:
                yield Record(header.seq, frame.lsn, header.epoch, frame.payload(log))
            unproven.append(frame)
            proven = max(proven, frame.durable_lsn)
            while unproven and unproven[0].lsn <= proven:
                durable = unproven.popleft()
        if self._up_to_lsn is not None and end.lsn >= self._up_to_lsn:
            self._end = _end_at(header, end, end, torn_bytes=0)  # what comes behind is just being written: no damage
            return
        torn_bytes = used_bytes(log, end.end)
        if torn_bytes:
            proven = max(proven, durable_after_damage(log, header, end.end, end.lsn))
        _require(log_name(header.seq), end, max(proven, self._after_lsn))
        self._end = _end_at(header, end, durable, torn_bytes)

    def _no_log(self, proven: int) -> LogEnd:
        nothing = Frame(self._after_lsn, self._after_lsn, 0, 0, 0, 0)
        _require(LOG_FOLDER, nothing, proven)
        following = max(_present(self._directory), default=0) + 1  # an orphan may lie there: its writer died at once
        return LogEnd(0, following, 0, nothing.lsn, 0, 0, 0, nothing.lsn, 0, 0)


class LogTail:
    """Follows a log that a writer may be appending to; cheap to ask again. Not thread-safe."""

    def __init__(self, directory: Directory, seq: int, offset: int, lsn: int, chain: int) -> None:
        """Use `LogReader.tail`."""
        self._directory = directory
        self._seq = seq
        self._offset = offset
        self._lsn = lsn
        self._chain = chain

    @property
    def lsn(self) -> int:
        """The last record given."""
        return self._lsn

    def poll(self, up_to_lsn: int | None = None) -> list[Record]:
        """The records since the last call, up to `up_to_lsn` (default: what is durable now).

        NotFoundError if a log was collected meanwhile: read the newest manifest and begin anew. CorruptionError if a
        durable record is damaged; then nothing was consumed.
        """
        target = durable_lsn(self._directory) if up_to_lsn is None else up_to_lsn
        found: list[Record] = []
        seq, offset, lsn, chain = self._seq, self._offset, self._lsn, self._chain
        while lsn < target:
            log, header = open_log(self._directory, seq)
            following = self._following(seq)
            if offset == 0:
                offset, chain = FILE_HEADER.size, header.chain
                first = header.first_lsn - 1
            else:
                first = lsn
            limit = log.size if following is None else following.previous_bytes
            for frame in frames(log, header, offset=offset, lsn=first, chain=chain, limit=min(limit, log.size)):
                if frame.lsn > target:
                    break
                offset, chain = frame.end, frame.chain
                if frame.lsn > lsn:  # a new writer's log repeats records that were not yet durable
                    found.append(Record(seq, frame.lsn, header.epoch, frame.payload(log)))
                    lsn = frame.lsn
            if lsn >= target:
                break
            if following is None or offset < limit:
                _require(log_name(seq), Frame(lsn, lsn, chain, offset, 0, offset), target)
            seq, offset = seq + 1, 0
        self._seq, self._offset, self._lsn, self._chain = seq, offset, lsn, chain
        return found

    def _following(self, seq: int) -> FileHeader | None:
        return open_log(self._directory, seq + 1)[1] if self._directory.exists(log_name(seq + 1)) else None


def read_log(directory: Directory, first_seq: int, *, after_lsn: int = 0, up_to_lsn: int | None = None) -> LogReader:
    """The records in (`after_lsn`, `up_to_lsn`] of log `first_seq` and later; iterate, then ask for `.end`."""
    return LogReader(directory, first_seq, after_lsn=after_lsn, up_to_lsn=up_to_lsn)


def durable_lsn(directory: Directory) -> int:
    """The LSN that the writer says is durable; 0 if unknown; after a power loss only a lower bound."""
    with closing(directory.watermark(WATERMARK)) as watermark:
        return watermark.get()


def open_log(directory: Directory, seq: int, owner: int = 0) -> tuple[pa.Buffer, FileHeader]:
    """Maps one log and checks its header: published whole, so any damage to it is corruption."""
    name = log_name(seq)
    log = directory.map(name)
    header = decode_header(log)
    if header is None or header.seq != seq:
        raise CorruptionError(f"{name}: the header (bytes 0 to 63) is damaged; {_ADVICE}")
    if header.version != LOG_VERSION or header.features:
        raise IncompatibleFormatError(
            f"{name}: format {header.version}, features {header.features:#x}; this Nearrow reads {LOG_VERSION}: upgrade"
        )
    if owner and header.owner and header.owner != owner:
        raise CorruptionError(f"{name}: belongs to another collection; {_ADVICE}")
    return log, header


def begins_anew(directory: Directory, seq: int) -> bool:
    """Whether this log says that it follows none, and holds no record."""
    log, header = open_log(directory, seq)
    return header.previous_bytes == 0 and not any(_all_frames(log, header, log.size))


def before_first(header: FileHeader) -> Frame:
    """The position of a log's beginning, as if a frame ended there."""
    return Frame(header.first_lsn - 1, header.first_lsn - 1, header.chain, 0, 0, FILE_HEADER.size)


def _all_frames(log: pa.Buffer, header: FileHeader, limit: int) -> Iterator[Frame]:
    first = before_first(header)
    return frames(log, header, offset=first.end, lsn=first.lsn, chain=first.chain, limit=min(limit, log.size))


def _check_settled(header: FileHeader, end: Frame, following: FileHeader) -> None:
    """The log after this one states where this one ends: nothing else will do."""
    expected = (following.previous_bytes, following.previous_chain, following.first_lsn - 1)
    if (end.end, end.chain, end.lsn) != expected:
        raise CorruptionError(
            f"{log_name(header.seq)}: damaged or cut off at byte {end.end}, after record {end.lsn}; it was valid up to "
            f"byte {following.previous_bytes}, record {following.first_lsn - 1}; {_ADVICE}"
        )
    if following.epoch < header.epoch:
        raise CorruptionError(f"{log_name(following.seq)}: its epoch is before that of the log before it; {_ADVICE}")


def _require(name: str, end: Frame, proven: int) -> None:
    if end.lsn < proven:
        raise CorruptionError(
            f"{name}: damaged or cut off at byte {end.end}: record {end.lsn + 1} is not whole, but all up to {proven} "
            f"were durable; {_ADVICE}"
        )


def _end_at(header: FileHeader, end: Frame, durable: Frame, torn_bytes: int) -> LogEnd:
    return LogEnd(
        seq=header.seq,
        next_seq=header.seq + 1,
        epoch=header.epoch,
        last_lsn=end.lsn,
        chain=end.chain,
        valid_bytes=end.end,
        torn_bytes=torn_bytes,
        durable_lsn=durable.lsn,
        durable_bytes=durable.end,
        durable_chain=durable.chain,
    )


def _present(directory: Directory) -> list[int]:
    return sorted(seq for name in directory.list(LOG_FOLDER) if (seq := log_seq(name)) is not None)


def _consecutive(directory: Directory, first_seq: int) -> list[int]:
    """The logs from `first_seq` on; CorruptionError if one is missing."""
    seqs = [seq for seq in _present(directory) if seq >= first_seq]
    for expected, seq in zip(range(first_seq, first_seq + len(seqs) + 1), [*seqs, None], strict=True):
        if seq != expected and (seq is not None or expected == first_seq):
            raise CorruptionError(f"{log_name(expected)}: missing, but the manifest or later logs need it; {_ADVICE}")
    return seqs


__all__ = ["LogEnd", "LogReader", "LogTail", "Record", "begins_anew", "durable_lsn", "open_log", "read_log"]
