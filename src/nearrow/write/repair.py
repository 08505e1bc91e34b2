"""Repair: how does a damaged folder become a sound collection again, and what does that cost?

Nobody may have the collection open. Whatever is damaged is first copied into `quarantine/`; then the newest readable
manifest, the rows that can be read and the valid beginning of the log become new files; one manifest commit switches to
them. A crash before it leaves the folder as it was, so repair can be run again. Nothing is guessed: the result says what
is lost, and what could not be verified.
"""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import replace
from uuid import uuid4

import pyarrow as pa

from nearrow.errors import CorruptionError, IncompatibleFormatError, NearrowError, NotFoundError
from nearrow.schema import CollectionConfig
from nearrow.segment.deletes import DeadRows
from nearrow.segment.format import ROWS_FILE
from nearrow.segment.part import SegmentPart
from nearrow.segment.reader import Segment, load_dead
from nearrow.segment.writer import write_dead, write_segment
from nearrow.storage import gc
from nearrow.storage.directory import Directory
from nearrow.storage.log_format import LOG_FOLDER, log_seq, owner_of
from nearrow.storage.log_reader import durable_lsn, open_log
from nearrow.storage.log_writer import LogWriter
from nearrow.storage.manifest import GENERATION, Manifest, SegmentEntry, commit, file_name, generations, load
from nearrow.write.check import check_folder, segment_problems
from nearrow.write.fitting import TextFiles, shared_ids
from nearrow.write.losses import Missing, losses
from nearrow.write.manifest_schema import decode_schema, encode_schema, id_type
from nearrow.write.open import LOCK
from nearrow.write.recovery import Replay
from nearrow.write.report import Lost, Repair
from nearrow.write.salvage import salvage
from nearrow.write.seal import alive_batches
from nearrow.write.state import State
from nearrow.write.texts import TEXT_FOLDER

QUARANTINE = "quarantine"
REPORT = "report.json"


def repair_folder(directory: Directory) -> Repair:
    """Mend what lies in a collection's folder. LockedError if it is open; NotFoundError if no manifest can be read."""
    with directory.lock(LOCK, exclusive=True):
        gc.clean_temporary(directory)
        manifest = readable_manifest(directory)
        if manifest is not None:
            gc.remove_interrupted_log(directory, manifest)
        if check_folder(directory).ok:
            return Repair()
        return _Repair(directory).run()


def readable_manifest(directory: Directory) -> Manifest | None:
    """The newest generation that can be read; None if the folder has no manifest at all."""
    numbers = generations(directory)
    for number in reversed(numbers):
        try:
            return load(directory, number)
        except IncompatibleFormatError:
            raise
        except NearrowError:
            continue
    if numbers:
        raise CorruptionError(
            f"none of the manifests {', '.join(map(file_name, numbers))} can be read: which files make up the collection is "
            "unknown; restore a snapshot. segments/*/rows.arrow are Arrow files that any Arrow tool reads"
        )
    return None


class _Repair:
    """One repair, under the writer's lock."""

    def __init__(self, directory: Directory) -> None:
        manifest = readable_manifest(directory)
        if manifest is None:
            raise NotFoundError("no collection lies here: there is no manifest")
        self._directory = directory
        self._manifest = manifest
        self._config = CollectionConfig.from_dict(manifest.config)
        self._schema = decode_schema(manifest.schema)
        self._state = State(self._schema, manifest.next_row, manifest.lsn, manifest.number)
        self._folder = f"{QUARANTINE}/{time.time_ns()}"
        self._quarantined: list[str] = []
        self._rebuilt: list[str] = []
        self._missing: list[Missing] = []
        self._notes: list[str] = []
        self._unverified_rows = self._deletes_lost = self._records_lost = 0

    def run(self) -> Repair:
        fell_back = self._choose_manifest()
        self._state.segments = [part for entry in self._manifest.segments if (part := self._part(entry)) is not None]
        self._state.follow_deaths = True
        self._replay()
        lost = losses(self._missing, self._state.drain_died(), self._state)
        rows_bad = fell_back or self._missing or self._records_lost or self._deletes_lost or self._unverified_rows
        if rows_bad or self._text_problems():
            if self._directory.list(TEXT_FOLDER):
                self._rebuilt.append(TEXT_FOLDER)
            self._directory.remove_folder(TEXT_FOLDER)
        return self._commit(lost)

    def _text_problems(self) -> list[str]:
        texts = TextFiles(self._directory, self._manifest)
        with closing(texts):
            return texts.problems or list(texts.misfits(self._state.view(), self._state.next_row, living=False))

    # ---- manifest

    def _choose_manifest(self) -> bool:
        """Set aside the manifests that cannot be read; whether the one that counts is among them."""
        newest = self._manifest.number
        with closing(self._directory.watermark(GENERATION)) as generation:
            fell_back = generation.get() > newest
        for number in generations(self._directory):
            try:
                load(self._directory, number)
            except NearrowError:
                self._keep(file_name(number))
                if number > newest:
                    fell_back = True
                    self._directory.unlink(file_name(number))
        if fell_back:
            self._directory.sync_folder()
            self._notes.append(
                f"fell back to {file_name(newest)}: what only the damaged manifest named (a bulk load, a merge) is not in "
                "the collection; the segments that no manifest names are in quarantine/"
            )
            named = {entry.id for entry in self._manifest.segments}
            for segment in self._directory.list(gc.SEGMENT_FOLDER):
                if segment not in named:
                    self._keep_folder(f"{gc.SEGMENT_FOLDER}/{segment}")
        return fell_back

    # ---- segments

    def _part(self, entry: SegmentEntry) -> SegmentPart | None:
        """The segment, sound; None if none of its rows is left."""
        directory = self._directory
        problems = segment_problems(directory, entry, self._manifest)
        dead = self._dead(entry)
        if not problems:
            segment = Segment.open(directory, entry, self._schema, metric=self._config.metric)
            return SegmentPart(segment, dead)
        for problem in problems:
            self._keep(problem.file)
        if all(problem.severity == "derived" for problem in problems):
            self._rebuilt += [problem.file for problem in problems]
            segment = Segment.open(directory, entry, self._schema, metric=self._config.metric)
            return self._rewritten(list(alive_batches(SegmentPart(segment, dead), self._schema)))
        return self._salvaged(entry, dead)

    def _salvaged(self, entry: SegmentEntry, dead: DeadRows) -> SegmentPart | None:
        self._keep_folder(entry.folder)
        found = salvage(self._directory, entry, dead, self._schema, self._config.dimension)
        self._unverified_rows += found.rows
        deaths_unknown = (entry.dead.count if entry.dead is not None else 0) - dead.count
        if len(found.lost):
            self._missing.append(Missing(entry, found.lost, found.bad_ids))
        self._deletes_lost -= max(0, deaths_unknown - found.rows)  # so many did not come back
        return self._rewritten(found.batches)

    def _rewritten(self, batches: list[pa.RecordBatch]) -> SegmentPart | None:
        if not batches:
            return None
        entry = write_segment(self._directory, uuid4().hex, batches)
        segment = Segment.open(self._directory, entry, self._schema, metric=self._config.metric)
        return SegmentPart(segment, DeadRows.none(segment.rows))

    def _dead(self, entry: SegmentEntry) -> DeadRows:
        """Which rows are dead; of a damaged bitmap, what the manifest before still knows."""
        try:
            return load_dead(self._directory, entry)
        except CorruptionError:
            assert entry.dead is not None
            self._keep(entry.path(entry.dead.file))
        older = DeadRows.none(entry.rows)
        try:
            previous = load(self._directory, self._manifest.number - 1)
            older = next((load_dead(self._directory, e) for e in previous.segments if e.id == entry.id), older)
        except NearrowError as error:
            self._notes.append(f"no older bitmap of {entry.folder}: {error}")
        self._deletes_lost += entry.dead.count - older.count
        return older

    # ---- log

    def _replay(self) -> None:
        """Apply the records up to the damage, if there is any, and set aside the log files then."""
        durable = max(durable_lsn(self._directory), self._manifest.lsn)
        try:
            Replay(self._directory, self._manifest).run(self._state)
        except IncompatibleFormatError:
            raise
        except (CorruptionError, NotFoundError) as error:
            self._records_lost = max(0, durable - self._state.lsn)
            self._notes.append(f"the log was cut after record {self._state.lsn}: {error}")
            for name in self._directory.list(LOG_FOLDER):
                self._keep(f"{LOG_FOLDER}/{name}")

    def _new_log(self, next_lsn: int) -> tuple[int, int]:
        """A log that nothing comes before. Returns (sequence number, epoch)."""
        seqs = [seq for name in self._directory.list(LOG_FOLDER) if (seq := log_seq(name)) is not None]
        epoch = self._manifest.epoch
        for seq in seqs:
            try:
                epoch = max(epoch, open_log(self._directory, seq)[1].epoch)
            except CorruptionError:
                epoch += 1  # each log begins at most one epoch
        seq = max(seqs, default=0) + 2  # the gap says that it follows none
        owner = owner_of(self._manifest.uuid)
        LogWriter.create(self._directory, seq=seq, epoch=epoch + 1, next_lsn=next_lsn, owner=owner).close()
        return seq, epoch + 1

    # ---- commit

    def _commit(self, lost: tuple[Lost, ...]) -> Repair:
        state, directory = self._state, self._directory
        memtable = state.active.part()
        self._schema = state.schema
        if memtable.alive_count:
            part = self._rewritten(list(alive_batches(memtable, state.schema)))
            state.segments += [part] if part is not None else []
        state.segments.sort(key=lambda part: part.segment.entry.min_row)
        self._bury_older_versions()
        number = self._manifest.number + 1
        lsn = max(state.lsn, self._manifest.lsn, durable_lsn(directory))
        seq, epoch = self._new_log(lsn + 1)
        done = self._report(lost)
        committed = commit(
            directory,
            replace(
                self._manifest,
                number=number,
                schema=encode_schema(state.schema),
                id_type=id_type(state.schema),
                next_row=max(state.next_row, *(part.segment.entry.max_row + 1 for part in state.segments), 0),
                segments=tuple(
                    write_dead(directory, part.segment.entry, number, part.dead)
                    if part.dead.count != (part.segment.entry.dead.count if part.segment.entry.dead else 0)
                    or any(part.segment.entry.path(self._dead_file(part)) in kept for kept in self._quarantined)
                    else part.segment.entry
                    for part in state.segments
                ),
                log_first_seq=seq,
                lsn=lsn,
                epoch=epoch,
                previous_digest=self._manifest.digest,
                created_at=time.time_ns() // 1000,
            ),
        )
        gc.retire(directory, gc.referenced_names(committed))  # what the manifests before name is damaged or copied
        return done

    def _report(self, lost: tuple[Lost, ...]) -> Repair:
        """What this repair does, also as a file: whoever is killed after the commit has told nobody."""
        done = Repair(
            tuple(self._rebuilt),
            tuple(sorted(set(self._quarantined))),
            lost,
            self._unverified_rows,
            self._deletes_lost,
            self._records_lost,
            tuple(self._notes),
        )
        self._directory.make_folder(self._folder)
        self._directory.publish(f"{self._folder}/{REPORT}", json.dumps(done.to_dict(), indent=1).encode() + b"\n")
        return done

    @staticmethod
    def _dead_file(part: SegmentPart) -> str:
        dead = part.segment.entry.dead
        return dead.file if dead is not None else ROWS_FILE

    def _bury_older_versions(self) -> None:
        """A row that came back because its bitmap is lost, or for whatever reason, is dead if its id has a newer row."""
        parts, buried = self._state.segments, 0
        for index, part in enumerate(parts):
            for later in parts:
                if later is part:
                    continue
                here, there = shared_ids(part, later)
                older = here[later.row_numbers_at(there) > part.row_numbers_at(here)]
                buried += len(older)
                part = parts[index] = part.with_dead(older)
        if buried > self._deletes_lost:
            self._notes.append(f"{buried - self._deletes_lost} ids were there twice; the newest row of each counts")
        self._deletes_lost = max(0, self._deletes_lost - buried)

    # ---- quarantine

    def _keep(self, name: str) -> None:
        """Copy one file into quarantine/, durably, before anything changes."""
        target = f"{self._folder}/{name}"
        if self._directory.exists(name) and not self._directory.exists(target):
            self._directory.make_folder(target.rpartition("/")[0])
            self._directory.publish(target, self._directory.map(name))
            self._quarantined.append(target)

    def _keep_folder(self, folder: str) -> None:
        for name in self._directory.list(folder):
            self._keep(f"{folder}/{name}")


__all__ = ["QUARANTINE", "readable_manifest", "repair_folder"]
