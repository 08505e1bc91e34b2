"""Nearrow: which rows are near?

An embedded, Arrow-native vector database: open a directory, add rows, search.

    import nearrow

    with nearrow.connect("./library") as db:
        docs = db.get_or_create_collection("docs", dimension=384, text_fields=["text"])
        docs.upsert(ids=["a", "b"], vectors=vectors, texts=texts, metadata=[{"year": 1999}, {"year": 2024}])
        for hit in docs.search(query, k=10):
            print(hit.id, hit.distance, hit["text"])
"""

from typing import TYPE_CHECKING, Any

from nearrow import metrics
from nearrow.collection import Collection
from nearrow.database import Database
from nearrow.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    ClosedError,
    CorruptionError,
    DimensionMismatchError,
    EmbeddingError,
    FilterError,
    IncompatibleFormatError,
    InvalidArgumentError,
    LimitExceededError,
    LockedError,
    NearrowError,
    NotFoundError,
    ReadOnlyError,
    SchemaError,
    StorageError,
    UnavailableError,
)
from nearrow.hits import Hit, Hits
from nearrow.index.hnsw import HnswIndex
from nearrow.index.text import TextQuery
from nearrow.opening import connect
from nearrow.query.fusion import RRF, Weighted
from nearrow.schema import CollectionConfig, TextSettings
from nearrow.write.report import Repair, Report
from nearrow.write.stats import Stats

if TYPE_CHECKING:
    from nearrow.analytics.query_snapshot import query_snapshot

__version__ = "0.1.0"

__all__ = [
    "RRF",
    "AccessDeniedError",
    "AlreadyExistsError",
    "ClosedError",
    "Collection",
    "CollectionConfig",
    "CorruptionError",
    "Database",
    "DimensionMismatchError",
    "EmbeddingError",
    "FilterError",
    "Hit",
    "Hits",
    "HnswIndex",
    "IncompatibleFormatError",
    "InvalidArgumentError",
    "LimitExceededError",
    "LockedError",
    "NearrowError",
    "NotFoundError",
    "ReadOnlyError",
    "Repair",
    "Report",
    "SchemaError",
    "Stats",
    "StorageError",
    "TextQuery",
    "TextSettings",
    "UnavailableError",
    "Weighted",
    "connect",
    "metrics",
    "query_snapshot",
]


def __getattr__(name: str) -> Any:
    """`query_snapshot`, when it is first used: it loads Parquet and file systems, which most programs need not."""
    if name != "query_snapshot":
        raise AttributeError(f"module 'nearrow' has no attribute {name!r}")
    from nearrow.analytics.query_snapshot import query_snapshot

    globals()[name] = query_snapshot
    return query_snapshot
