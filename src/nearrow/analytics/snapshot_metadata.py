"""Snapshot metadata: what is a snapshot made of, and is it still what was written?

One row in metadata.parquet: format version, settings, schema, counts, and length and digest of every other file; the
row has a digest of its own. Columns: docs/formats/snapshot.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pyarrow as pa

from nearrow.errors import CorruptionError, IncompatibleFormatError, InvalidArgumentError
from nearrow.schema import CollectionConfig
from nearrow.storage.manifest import FileEntry
from nearrow.storage.published import digest

FORMAT_VERSION = 2
METADATA_FILE = "metadata.parquet"
VECTORS, NEIGHBORS, LAYERS, GRAPH = TABLES = ("vectors.parquet", "neighbors.parquet", "layers.parquet", "graph")
"""The folders of a snapshot: each has one file for each part. A graph is there only if it can be used again as it is."""
PARQUET_TABLES = (VECTORS, NEIGHBORS, LAYERS)
ADVICE = "take another snapshot, or restore from one that is whole"

SCHEMA = pa.schema(
    [
        ("format_version", pa.int32()),
        ("name", pa.string()),
        ("rows", pa.int64()),
        ("dimension", pa.int32()),
        ("metric", pa.string()),
        ("created_at", pa.timestamp("us", "UTC")),
        ("config", pa.string()),
        ("schema", pa.binary()),
        ("files", pa.list_(pa.struct([("name", pa.string()), ("length", pa.int64()), ("digest", pa.string())]))),
        ("digest", pa.string()),
    ]
)


_PART = r"[0-9a-z]{1,64}(?:-[0-9a-z]{1,64})*"
_FILE = re.compile(rf"(?:(?:vectors|neighbors|layers)\.parquet/{_PART}\.parquet|graph/{_PART}\.bin)")


def file_of(table: str, part: str) -> str:
    """The name of a part's file in one of TABLES."""
    return f"{table}/{part}.{'bin' if table == GRAPH else 'parquet'}"


@dataclass(frozen=True)
class SnapshotMetadata:
    """What one snapshot holds. `created_at` is in microseconds since 1970."""

    config: CollectionConfig
    schema: pa.Schema
    rows: int
    created_at: int
    files: Mapping[str, FileEntry]

    def to_table(self) -> pa.Table:
        config = self.config
        row = {
            "format_version": FORMAT_VERSION,
            "name": config.name,
            "rows": self.rows,
            "dimension": config.dimension,
            "metric": config.metric,
            "created_at": self.created_at,
            "config": config.to_json(),
            "schema": self.schema.serialize().to_pybytes(),
            "files": [{"name": name, "length": e.length, "digest": e.digest} for name, e in self.files.items()],
        }
        return pa.Table.from_pylist([row | {"digest": row_digest(row)}], SCHEMA)

    @classmethod
    def from_table(cls, table: pa.Table) -> SnapshotMetadata:
        """CorruptionError if it is not what was written, IncompatibleFormatError if a newer Nearrow wrote it."""
        if table.num_rows != 1 or "format_version" not in table.column_names:
            raise CorruptionError(f"{METADATA_FILE}: not the metadata of a snapshot; {ADVICE}")
        version = table.column("format_version")[0].as_py()
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise IncompatibleFormatError(
                f"{METADATA_FILE}: format {version}, this Nearrow reads {FORMAT_VERSION}; upgrade Nearrow"
            )
        if isinstance(version, int) and 0 < version < FORMAT_VERSION:
            raise IncompatibleFormatError(
                f"{METADATA_FILE}: format {version}, this Nearrow reads {FORMAT_VERSION}; take the snapshot again"
            )
        if version != FORMAT_VERSION or not table.schema.equals(SCHEMA):
            raise CorruptionError(f"{METADATA_FILE}: the columns are not those of a snapshot; {ADVICE}")
        created_at = table.column("created_at").cast(pa.int64())[0].as_py()
        row = table.drop_columns(["created_at", "digest"]).to_pylist()[0] | {"created_at": created_at}
        if row_digest(row) != table.column("digest")[0].as_py():
            raise CorruptionError(f"{METADATA_FILE}: digest mismatch; {ADVICE}")
        try:
            config = CollectionConfig.from_json(row["config"])
            schema = pa.ipc.read_schema(pa.py_buffer(row["schema"]))
            files = {file["name"]: FileEntry(file["length"], file["digest"]) for file in row["files"]}
        except (InvalidArgumentError, pa.ArrowException, ValueError, OSError, TypeError) as error:
            raise CorruptionError(f"{METADATA_FILE}: {error}; {ADVICE}") from error
        for name in files:
            if _FILE.fullmatch(name) is None:
                raise CorruptionError(f"{METADATA_FILE}: names the file {name!r}, which no snapshot has; {ADVICE}")
        metadata = cls(config, schema, row["rows"], created_at, files)
        for part in metadata.parts:
            for table in PARQUET_TABLES:
                if file_of(table, part) not in files:
                    raise CorruptionError(f"{METADATA_FILE}: does not name {file_of(table, part)}; {ADVICE}")
        if not metadata.parts:
            raise CorruptionError(f"{METADATA_FILE}: names no {VECTORS}; {ADVICE}")
        return metadata

    @property
    def parts(self) -> list[str]:
        """The parts, in order: each is a segment's alive rows, or a memtable's."""
        front, end = f"{VECTORS}/", ".parquet"
        return [name[len(front) : -len(end)] for name in self.files if name.startswith(front)]

    def files_of(self, table: str) -> list[str]:
        """The files of one of TABLES, by parts."""
        return [name for name in (file_of(table, part) for part in self.parts) if name in self.files]

    def named(self, name: str | None) -> CollectionConfig:
        """The settings under another name."""
        return self.config if name is None else replace(self.config, name=name)


def row_digest(row: Mapping[str, object]) -> str:
    """The digest of the row's values, independent of how Parquet stores them."""
    plain = {key: value.hex() if isinstance(value, bytes) else value for key, value in row.items()}
    return digest(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode())
