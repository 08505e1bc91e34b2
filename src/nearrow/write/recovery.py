"""Recovery: what does the collection hold when it is opened?

The newest manifest names the segments; the log behind it holds the rest. Files are mapped, nothing is built: only the
log's rows, at most a memtable's worth, are read. The same walk serves the writer at open and readers at refresh.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from nearrow.schema import CollectionConfig, evolve
from nearrow.segment.part import SegmentPart
from nearrow.segment.reader import Segment, load_dead
from nearrow.storage.directory import Directory
from nearrow.storage.log_format import owner_of
from nearrow.storage.log_reader import LogEnd, LogReader, LogTail, Record
from nearrow.storage.manifest import Manifest, SegmentEntry
from nearrow.write.manifest_schema import decode_schema
from nearrow.write.record import Decoder
from nearrow.write.state import State


def open_state(
    directory: Directory, config: CollectionConfig, manifest: Manifest, known: Mapping[str, SegmentPart] | None = None
) -> State:
    """The state that the manifest describes, before the log is replayed. `known`: segments that are open already."""
    schema = decode_schema(manifest.schema)
    state = State(schema, manifest.next_row, manifest.lsn, manifest.number)
    known = known or {}
    state.segments = [
        _open_part(directory, entry, known.get(entry.id), schema, config.metric) for entry in manifest.segments
    ]
    return state


def _open_part(
    directory: Directory, entry: SegmentEntry, known: SegmentPart | None, schema: pa.Schema, metric: str
) -> SegmentPart:
    if known is not None and known.segment.entry == entry:
        return known
    segment = known.segment if known is not None and known.segment.entry.files == entry.files else None
    segment = segment or Segment.open(directory, entry, schema, metric=metric)
    return SegmentPart(segment, load_dead(directory, entry))


class Replay:
    """Applies log records to a state, in order, and remembers where it stopped."""

    def __init__(self, directory: Directory, manifest: Manifest, up_to_lsn: int | None = None) -> None:
        """`up_to_lsn`: what a living writer says is durable; None: all that is valid."""
        owner = owner_of(manifest.uuid)
        first, lsn = manifest.log_first_seq, manifest.lsn
        self._reader = LogReader(directory, first, after_lsn=lsn, up_to_lsn=up_to_lsn, owner=owner)
        self._tail: LogTail | None = None
        self._skip_lsn = manifest.lsn
        self._decoder = Decoder()  # one for all log files: a tail copied at recovery relies on the file before it

    @property
    def end(self) -> LogEnd:
        """Where the log ended; known after the first `run`."""
        return self._reader.end

    def run(self, state: State) -> int:
        """Apply what came since the last call. Returns how many records."""
        applied = 0
        if self._tail is None:
            records: Iterable[Record] = self._reader
        else:
            records = self._tail.poll()
        for record in records:
            change = self._decoder.decode(record.payload, f"log {record.seq}, record {record.lsn}")
            if record.lsn <= self._skip_lsn:
                continue
            state.apply(change, record.lsn, self._schema(state) if change.puts else None)
            applied += 1
        self._tail = self._tail or self._reader.tail()
        return applied

    def _schema(self, state: State) -> pa.Schema:
        """The state's schema widened by the log's: the manifest's may be newer, as a bulk load widens it past the log."""
        assert self._decoder.schema is not None
        return evolve(state.schema, self._decoder.schema)
