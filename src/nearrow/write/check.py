"""Check: is everything on disk what was written?

Reads every byte that counts: the manifests and their chain, each file's digest, the rows, ids, zones and graph of each
segment, the dead-row bitmaps, every log record, the text index. Changes nothing; a writer may go on meanwhile.
"""

from __future__ import annotations

import os
import time
from collections import Counter

from nearrow.errors import CorruptionError, LockedError, NearrowError, NotFoundError, StorageError
from nearrow.index.text import RebuildNeededError, TextIndex, text_fields_of
from nearrow.schema import CollectionConfig
from nearrow.segment.format import GRAPH_FILE, IDS_FILE, ROWS_FILE, ZONES_FILE
from nearrow.segment.reader import Segment, load_dead
from nearrow.storage.directory import Directory
from nearrow.storage.gc import LEASE
from nearrow.storage.log_reader import LogReader, durable_lsn
from nearrow.storage.manifest import Manifest, SegmentEntry, file_name, generations, load, load_newest
from nearrow.storage.published import map_published
from nearrow.write.manifest_schema import decode_schema
from nearrow.write.open import LOCK
from nearrow.write.record import Decoder
from nearrow.write.report import Problem, Report, Severity
from nearrow.write.texts import TEXT_FOLDER

LEASE_ATTEMPTS = 500
LEASE_SECONDS = 0.01


def check_folder(directory: Directory) -> Report:
    """Everything in a collection's folder, open or not. The shared lease keeps the files there while they are read."""
    for _ in range(LEASE_ATTEMPTS):
        try:
            with directory.lock(LEASE, exclusive=False):
                return _Check(directory).run()
        except LockedError:  # files are being retired right now
            time.sleep(LEASE_SECONDS)
    raise StorageError("files were being retired all the time; try check() again")


def text_problems(directory: Directory, manifest: Manifest) -> list[str]:
    """What is wrong with the text index; nothing if the collection has none, or none was built yet."""
    config = CollectionConfig.from_dict(manifest.config)
    if not config.text_fields or directory.path is None or not directory.list(TEXT_FOLDER):
        return []
    path = os.path.join(directory.path, TEXT_FOLDER)
    try:
        index = TextIndex.open(path, text_fields_of(config), read_only=True, identity=manifest.uuid)
    except RebuildNeededError as error:
        return [str(error)]
    try:
        return index.check()
    finally:
        index.close()


def segment_problems(directory: Directory, entry: SegmentEntry, manifest: Manifest) -> list[Problem]:
    """What is wrong with one segment's files."""
    problems: list[Problem] = []
    whole = True
    for name, file in entry.files.items():
        try:
            map_published(directory, entry.path(name), file.length, file.digest)
        except CorruptionError as error:
            whole &= name != ROWS_FILE
            problems.append(problem_of(entry.path(name), error, "rows" if name == ROWS_FILE else "derived"))
    metric = CollectionConfig.from_dict(manifest.config).metric
    try:
        segment = Segment.open(directory, entry, decode_schema(manifest.schema), metric=metric)
    except CorruptionError as error:
        problems.append(problem_of(entry.path(ROWS_FILE), error, "rows"))
    else:
        if whole:  # else its ids, zones and graph would be held against rows that are damaged themselves
            known = {problem.file for problem in problems}
            for text in segment.verify():
                named = _named(text, entry)
                if named not in known:
                    problems.append(problem_of(named, text, "rows" if named.endswith(ROWS_FILE) else "derived"))
    return list({(problem.file, problem.severity): problem for problem in reversed(problems)}.values())


def problem_of(file: str, error: object, severity: Severity) -> Problem:
    """The problem, without the file's name and the advice that the message of an error has for its user."""
    what = str(error).removeprefix(f"{file}: ").partition("; run ")[0]
    return Problem(file, what, severity)


def _named(text: str, entry: SegmentEntry) -> str:
    """The file that a problem of `Segment.verify` is about."""
    derived = (entry.path(name) for name in (GRAPH_FILE, IDS_FILE, ZONES_FILE))
    return next((name for name in derived if text.startswith(name)), entry.path(ROWS_FILE))


class _Check:
    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._problems: list[Problem] = []
        self._counts: Counter[str] = Counter(manifests=0, segments=0, files=0, rows=0, records=0)

    def run(self) -> Report:
        manifest = self._manifests()
        if manifest is not None:
            for entry in manifest.segments:
                self._segment(entry, manifest)
            self._log(manifest)
            for text in text_problems(self._directory, manifest):
                self._problems.append(problem_of(TEXT_FOLDER, text, "derived"))
        return Report(tuple(self._problems), dict(self._counts))

    def _manifests(self) -> Manifest | None:
        """The newest manifest that can be read, even if it is not the one that counts."""
        numbers = generations(self._directory)
        if not numbers:
            raise NotFoundError("no collection lies here: there is no manifest")
        found: list[Manifest] = []
        for number in reversed(numbers):
            try:
                found.append(load(self._directory, number))
            except NearrowError as error:
                severity: Severity = "derived" if number != numbers[-1] else "rows"
                self._problems.append(problem_of(file_name(number), error, severity))
        if not self._problems or self._problems[0].file != file_name(numbers[-1]):
            try:
                load_newest(self._directory)
            except CorruptionError as error:
                self._problems.append(problem_of(str(error).partition(":")[0], error, "rows"))
        self._counts["manifests"] = len(numbers)
        return found[0] if found else None

    def _segment(self, entry: SegmentEntry, manifest: Manifest) -> None:
        self._counts.update(segments=1, files=len(entry.all_files()), rows=entry.rows)
        self._problems += segment_problems(self._directory, entry, manifest)
        try:
            load_dead(self._directory, entry)
        except CorruptionError as error:
            assert entry.dead is not None
            self._problems.append(problem_of(entry.path(entry.dead.file), error, "rows"))

    def _log(self, manifest: Manifest) -> None:
        living = self._directory.locked(LOCK)  # a writer may be appending: only what it says is durable must be whole
        up_to = max(durable_lsn(self._directory), manifest.lsn) if living else None
        decoder = Decoder()
        try:
            for record in LogReader(self._directory, manifest.log_first_seq, after_lsn=manifest.lsn, up_to_lsn=up_to):
                decoder.decode(record.payload, f"log {record.seq}, record {record.lsn}")
                self._counts["records"] += 1
        except (CorruptionError, NotFoundError) as error:
            self._problems.append(problem_of(str(error).partition(":")[0], error, "rows"))
