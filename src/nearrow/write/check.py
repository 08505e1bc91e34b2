"""Check: is everything on disk what was written?

Reads every byte that counts: the manifests and their chain, each file's digest, the rows, ids, zones and graph of each
segment, the dead-row bitmaps, every log record, the text index; then whether they fit together. Changes nothing; a writer
may go on meanwhile.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress

from nearrow.errors import CorruptionError, LockedError, NearrowError, NotFoundError, StorageError
from nearrow.schema import CollectionConfig
from nearrow.segment.format import ROWS_FILE, SEGMENTS_FOLDER
from nearrow.segment.reader import Segment, load_dead
from nearrow.storage.directory import Directory
from nearrow.storage.gc import LEASE
from nearrow.storage.log_format import owner_of
from nearrow.storage.log_reader import LogReader, durable_lsn
from nearrow.storage.manifest import Manifest, SegmentEntry, file_name, generations, load, load_newest
from nearrow.storage.published import map_published
from nearrow.write.fitting import TextFiles, repeated_ids
from nearrow.write.manifest_schema import decode_schema
from nearrow.write.open import LOCK
from nearrow.write.record import Decoder
from nearrow.write.recovery import Replay, open_state
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
    derived = (entry.path(name) for name in entry.files if name != ROWS_FILE)
    return next((name for name in derived if text.startswith(name)), entry.path(ROWS_FILE))


class _Check:
    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._problems: list[Problem] = []
        self._counts: Counter[str] = Counter(manifests=0, segments=0, files=0, rows=0, records=0)

    def run(self) -> Report:
        living = self._directory.locked(LOCK)  # a writer may be appending: only what it says is durable must be whole
        texts = self._texts()
        durable = durable_lsn(self._directory) if living else None  # before the manifest: what it lacks came later
        manifest = self._manifests()
        if manifest is not None:
            for entry in manifest.segments:
                self._segment(entry, manifest)
            self._log(manifest, None if durable is None else max(durable, manifest.lsn))
        if texts is not None:
            self._problems += [problem_of(TEXT_FOLDER, text, "derived") for text in texts.problems]
            if manifest is not None and not any(problem.severity == "rows" for problem in self._problems):
                self._fit(manifest, texts, durable)
            texts.close()
        return Report(tuple(self._problems), dict(self._counts))

    def _texts(self) -> TextFiles | None:
        """The text index; None if no manifest says whether there is one."""
        for number in reversed(generations(self._directory)):
            with suppress(CorruptionError, NotFoundError):
                return TextFiles(self._directory, load(self._directory, number))
        return None

    def _fit(self, manifest: Manifest, texts: TextFiles, durable: int | None) -> None:
        """Whether the files fit together. REQUIRES: the rows, the bitmaps and the log are sound."""
        state = open_state(self._directory, CollectionConfig.from_dict(manifest.config), manifest)
        up_to = None if durable is None else max(durable, manifest.lsn)
        Replay(self._directory, manifest, up_to).run(state)
        view = state.view()
        count, first = repeated_ids(view)
        if count:
            self._problems.append(Problem(SEGMENTS_FOLDER, f"{count} ids are there twice: {first}", "rows"))
        for text in texts.misfits(view, state.next_row, living=durable is not None):
            self._problems.append(problem_of(TEXT_FOLDER, text, "derived"))

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

    def _log(self, manifest: Manifest, up_to: int | None) -> None:
        decoder = Decoder()
        try:
            for record in LogReader(
                self._directory,
                manifest.log_first_seq,
                after_lsn=manifest.lsn,
                up_to_lsn=up_to,
                owner=owner_of(manifest.uuid),
            ):
                decoder.decode(record.payload, f"log {record.seq}, record {record.lsn}")
                self._counts["records"] += 1
        except (CorruptionError, NotFoundError) as error:
            self._problems.append(problem_of(str(error).partition(":")[0], error, "rows"))
