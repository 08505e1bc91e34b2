"""Open: how does a folder become a writer, or a new collection?"""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import uuid4

import pyarrow as pa

from nearrow.errors import NotFoundError
from nearrow.schema import CollectionConfig, base_schema
from nearrow.storage import gc
from nearrow.storage.directory import Directory, Lock
from nearrow.storage.log_format import owner_of
from nearrow.storage.log_reader import durable_lsn
from nearrow.storage.log_writer import LogWriter
from nearrow.storage.manifest import Manifest, SegmentEntry, commit, load_newest
from nearrow.write.background import Background
from nearrow.write.budget import MemoryBudget
from nearrow.write.core import Core
from nearrow.write.manifest_schema import encode_schema, id_type
from nearrow.write.recovery import Replay, open_state
from nearrow.write.writer import Writer

LOCK = "LOCK"


def create(
    directory: Directory,
    config: CollectionConfig,
    *,
    schema: pa.Schema | None = None,
    segments: tuple[SegmentEntry, ...] = (),
    next_row: int = 0,
) -> Manifest:
    """Make a collection, empty or of segments that lie there, in a new folder: it exists once its first manifest does."""
    with directory.lock(LOCK, exclusive=True):
        uuid = uuid4().hex
        LogWriter.create(directory, seq=1, epoch=1, next_lsn=1, owner=owner_of(uuid)).close()
        schema = base_schema(config) if schema is None else schema
        return commit(
            directory,
            Manifest(
                uuid=uuid,
                number=1,
                config=config.to_dict(),
                schema=encode_schema(schema),
                id_type=id_type(schema),
                next_row=next_row,
                segments=segments,
                log_first_seq=1,
                lsn=0,
                epoch=1,
                previous_digest=None,
                created_at=time.time_ns() // 1000,
            ),
        )


def read_manifest(directory: Directory) -> Manifest:
    """The newest manifest; NotFoundError for a folder that holds no collection."""
    manifest = load_newest(directory)
    if manifest is None:
        raise NotFoundError("no collection lies here: there is no manifest")
    return manifest


def open_writer(
    directory: Directory,
    *,
    background: Callable[[Core], Background] = Background,
    budget: MemoryBudget | None = None,
) -> Writer:
    """Take the lock, recover what is there, and be the one writer. Raises LockedError at once if there is another."""
    budget = MemoryBudget.of(None) if budget is None else budget
    lock = directory.lock(LOCK, exclusive=True)
    try:
        gc.clean_temporary(directory)
        manifest = read_manifest(directory)
        gc.remove_interrupted_log(directory, manifest)
        config = CollectionConfig.from_dict(manifest.config)
        state = open_state(directory, config, manifest)
        state.follow_deaths = bool(config.text_fields)
        replay = Replay(directory, manifest)
        replay.run(state)
        core = Core(directory, config, manifest, state, replay.end, budget)
        if durable_lsn(directory) < replay.end.last_lsn:
            core.open_log()  # a crash left records that nobody knows to be durable: make them so before anyone reads them
        writer = Writer(core, background(core), _release(lock))
    except BaseException:
        lock.release()
        raise
    if state.segments or state.active.rows:
        writer.background.wake()  # graphs that were not finished, merges that were due
    return writer


def _release(lock: Lock) -> Callable[[], None]:
    return lock.release
