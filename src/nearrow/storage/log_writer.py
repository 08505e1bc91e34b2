"""Log writer: how does a batch become durable before it is acknowledged?

`append` hands a record to the OS by one call; `sync` makes all records so far durable by one fsync. Any number of
threads may call both: a thread that waits in `sync(lsn)` while another one's fsync covers its record returns with it,
so many durable writes share an fsync. After a failed write or fsync nothing may be assumed of the unsynced bytes (rule
4): the writer refuses everything from then on, and reopening copies the valid records into a new log.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pyarrow as pa
from google_crc32c import extend as extend_crc32c
from google_crc32c import value as crc32c

from nearrow.errors import ClosedError, InvalidArgumentError, StorageError
from nearrow.storage.directory import TEMPORARY_SUFFIX, BytesLike, Directory, OutputFile, Watermark
from nearrow.storage.log_format import (
    FILE_HEADER,
    FRAME_MAGIC,
    FRAME_START,
    FRAME_TAIL,
    LOG_FOLDER,
    LSN_MAX,
    PAYLOAD_BYTES_MAX,
    encode_header,
    frames,
    log_name,
    padding,
)
from nearrow.storage.log_reader import WATERMARK, LogEnd, open_log
from nearrow.storage.poison import Poison
from nearrow.storage.sync_turn import SyncTurn

_JOIN_BYTES_MAX = 1 << 16  # below this one copy is cheaper than several checksums and a longer writev
_PREALLOCATE_BYTES = 1 << 18  # measured on ext4: fdatasync 0.11 ms within the file's length, 0.17 ms when it grows


class LogWriter:
    """The one writer of the current log. REQUIRES the collection's lock; one LogWriter at a time. Thread-safe."""

    def __init__(
        self,
        file: OutputFile,
        watermark: Watermark,
        directory: Directory,
        seq: int,
        epoch: int,
        last_lsn: int,
        chain: int,
        owner: int,
    ) -> None:
        """Use `create`, `resume` or `rotate`."""
        self._file = file
        self._watermark = watermark
        self._directory = directory
        self._seq = seq
        self._epoch = epoch
        self._owner = owner
        self._last_lsn = last_lsn
        self._durable_lsn = last_lsn
        self._chain = chain
        self._poison = Poison()
        self._closed = False
        self._append_mutex = threading.Lock()
        self._turn = SyncTurn(last_lsn)

    @classmethod
    def create(
        cls,
        directory: Directory,
        seq: int,
        epoch: int,
        next_lsn: int,
        previous_chain: int = 0,
        previous_bytes: int = 0,
        owner: int = 0,
    ) -> LogWriter:
        """A new, empty, durable log. The log before it (if any) must be durable for exactly `previous_bytes`.

        owner: `owner_of` the collection; 0 does not say.
        """
        if previous_bytes == 0 and seq > 1 and directory.exists(log_name(seq - 1)):
            raise InvalidArgumentError(f"{log_name(seq)}: previous_bytes must say how far {log_name(seq - 1)} is valid")
        directory.make_folder(LOG_FOLDER)
        return cls._start(directory, seq, epoch, next_lsn, previous_bytes, previous_chain, (), owner)

    @classmethod
    def resume(cls, directory: Directory, end: LogEnd, epoch: int, owner: int = 0) -> LogWriter:
        """The log that follows `end`, as recovery found it (`LogReader.end`); settles the torn tail for ever.

        Valid records that are not proven durable are copied into the new log, not trusted to a second fsync of the old
        one: after a failed fsync the cache may hold what the disk has not. `epoch` must be above all before it.
        """
        if epoch <= end.epoch:
            raise InvalidArgumentError(f"epoch {epoch} must be above {end.epoch}, the last writer's")
        directory.make_folder(LOG_FOLDER)  # also if it exists: the last writer may have failed to sync it, and
        directory.sync_folder(LOG_FOLDER)  # its last log's name, which must not vanish while this one's stays
        tail: list[pa.Buffer] = []
        if end.last_lsn > end.durable_lsn:
            log, header = open_log(directory, end.seq)
            found = frames(
                log,
                header,
                offset=end.durable_bytes,
                lsn=end.durable_lsn,
                chain=end.durable_chain,
                limit=end.valid_bytes,
            )
            tail = [frame.payload(log) for frame in found]
        return cls._start(
            directory, end.next_seq, epoch, end.durable_lsn + 1, end.durable_bytes, end.durable_chain, tail, owner
        )

    @classmethod
    def _start(
        cls,
        directory: Directory,
        seq: int,
        epoch: int,
        next_lsn: int,
        previous_bytes: int,
        previous_chain: int,
        tail: Sequence[pa.Buffer],
        owner: int,
    ) -> LogWriter:
        """Under a temporary name until it is whole and durable: a log that has its name has a valid header."""
        name = log_name(seq)
        temporary = name + TEMPORARY_SUFFIX
        if directory.exists(temporary):  # left by a crash; it was never published
            directory.unlink(temporary)
        header = encode_header(seq, epoch, next_lsn, previous_bytes, previous_chain, owner)
        file = directory.create(temporary, preallocate=_PREALLOCATE_BYTES)
        try:
            file.write(header)
            chain = int.from_bytes(header[FILE_HEADER.size - 4 :], "little")
            writer = cls(file, directory.watermark(WATERMARK), directory, seq, epoch, next_lsn - 1, chain, owner)
            for payload in tail:
                writer.append((payload,))
            file.sync()
            directory.rename(temporary, name)
            file.name = file.name.removesuffix(TEMPORARY_SUFFIX)
            directory.sync_folder(LOG_FOLDER)
        except BaseException:
            file.close()
            raise
        writer._durable_lsn = writer._last_lsn
        writer._turn = SyncTurn(writer._last_lsn)
        writer._watermark.set(writer._last_lsn)
        return writer

    @property
    def seq(self) -> int:
        return self._seq

    @property
    def name(self) -> str:
        return log_name(self._seq)

    @property
    def epoch(self) -> int:
        return self._epoch

    @property
    def last_lsn(self) -> int:
        """The LSN of the last record appended."""
        return self._last_lsn

    @property
    def durable_lsn(self) -> int:
        """The LSN up to which records are durable."""
        return self._durable_lsn

    @property
    def chain(self) -> int:
        return self._chain

    @property
    def size(self) -> int:
        """Bytes of this log so far."""
        return self._file.size

    @property
    def failed(self) -> bool:
        return self._poison.error is not None

    def append(self, parts: Sequence[BytesLike], *, sync_follows: bool = False) -> int:
        """Writes one record, made of `parts` one after another, and returns its LSN; it is not yet durable.

        sync_follows: the disk begins with it already, while the caller does what it has to do before its `sync`.
        InvalidArgumentError for a record over 2 GiB (nothing written); StorageError if the disk fails, now and after.
        """
        length = sum([part.nbytes if isinstance(part, memoryview) else len(part) for part in parts])
        if length > PAYLOAD_BYTES_MAX:
            raise InvalidArgumentError(
                f"a batch of {length} bytes is too big for one log record; write smaller batches"
            )
        with self._append_mutex:
            self._check()
            lsn = self._last_lsn + 1
            if lsn > LSN_MAX:
                raise StorageError(f"{self.name}: no LSN is left; copy the collection into a new one")
            tail = FRAME_TAIL.pack(length, self._chain, lsn, self._epoch, self._durable_lsn)
            pad = bytes(padding(length))
            if length <= _JOIN_BYTES_MAX:
                body: Sequence[BytesLike] = (b"".join((tail, *parts, pad)),)
                chain = crc32c(body[0])
            else:
                body = (tail, *map(pa.py_buffer, parts), pad)
                chain = 0
                for part in body:
                    chain = extend_crc32c(chain, part)
            with self._poison:
                self._file.write_parts((FRAME_START.pack(FRAME_MAGIC, chain), *body))
                if sync_follows and not self._turn.taken:
                    self._file.begin_sync()
            self._chain = chain
            self._last_lsn = lsn
            self._turn.appended(lsn)
            return lsn

    def sync(self, lsn: int | None = None) -> int:
        """Makes all records (or at least those up to `lsn`) durable and returns the durable LSN.

        StorageError if the disk fails, and from then on: what was not acknowledged before is unknown, reopen.
        """
        if lsn is None:
            self._check()
            lsn = self._last_lsn
        if self._turn.lead(lsn):
            with self._turn:
                self._check()
                self._turn.await_others(lambda: self._last_lsn)
                self._sync_now()
        return self._durable_lsn

    def rotate(self) -> LogWriter:
        """Syncs and closes this log and starts the next one; appends must wait. A failure poisons this writer."""
        with self._append_mutex:
            self._check()
            self._turn.lead()
            with self._turn, self._poison:
                self._check()
                self._sync_now()
                chain, size = self._chain, self._file.size
                following = self._start(
                    self._directory, self._seq + 1, self._epoch, self._last_lsn + 1, size, chain, (), self._owner
                )
                self._release()
                return following

    def close(self) -> None:
        """Syncs what is not yet durable, and the watermark. A poisoned writer is only released."""
        with self._append_mutex:
            if self._closed:
                return
            try:
                if self._poison.error is None:
                    self._turn.lead()
                    with self._turn:
                        self._check()
                        self._sync_now()
                        self._watermark.sync()
            finally:
                self._release()

    def _sync_now(self) -> None:
        """REQUIRES: this thread leads."""
        target = self._last_lsn
        if target > self._durable_lsn:
            started = time.monotonic()
            with self._poison:
                self._file.sync()
            self._durable_lsn = target
            self._watermark.set(target)
            self._turn.done(target, self._last_lsn, time.monotonic() - started)

    def _release(self) -> None:
        self._closed = True
        self._file.close()
        self._watermark.close()

    def _check(self) -> None:
        if (failure := self._poison.error) is not None:
            raise StorageError(
                f"{self.name}: refused, as an earlier write or fsync failed ({failure}); "
                "what was acknowledged is safe: close and reopen the collection"
            ) from failure
        if self._closed:
            raise ClosedError(f"{self.name}: the log was closed")
