"""Dictionaries: which text columns hold few values, and can be given to DuckDB as numbers of these?

Grouping and comparing 1M strings one by one takes DuckDB 1.6 times as long as reading them from Parquet, where they lie as
numbers of a dictionary; given like that, it takes half. A segment's columns are encoded when a query first names them, and
kept as long as the segment is open: 4 bytes a row.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence

import pyarrow as pa

from nearrow import compute as pc
from nearrow.segment.part import SegmentPart
from nearrow.segment.reader import Segment
from nearrow.segment.view import Part, View

SAMPLE_ROWS = 8192
FEW_VALUES, REPEATS = 256, 8
"""A column has few values if a sample holds no more than so many, or each of them so often on average."""

_encoded: weakref.WeakKeyDictionary[Segment, dict[str, list[pa.Array]]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def repeating_columns(view: View, query: str) -> list[str]:
    """The text columns that the query names and in which few values repeat."""
    asked = query.casefold()
    names = [field.name for field in view.schema if pa.types.is_string(field.type) and field.name.casefold() in asked]
    return [name for name in names if name != "id" and all(_repeats(part, name) for part in view.parts)]


def _repeats(part: Part, name: str) -> bool:
    batch = next(iter(part.batches), None)
    if batch is None or batch.schema.get_field_index(name) < 0:
        return True  # null throughout
    sample = batch.column(name).slice(0, SAMPLE_ROWS)
    return len(pc.unique(sample)) <= max(FEW_VALUES, len(sample) // REPEATS)


def dictionary_columns(part: Part, name: str) -> list[pa.Array]:
    """The column of each batch of the part that has it, in dictionary encoding."""
    if not isinstance(part, SegmentPart):
        return _encode(part.batches, name)
    with _lock:
        known = _encoded.setdefault(part.segment, {})
        if name not in known:
            known[name] = _encode(part.batches, name)
        return known[name]


def _encode(batches: Sequence[pa.RecordBatch], name: str) -> list[pa.Array]:
    return [batch.column(name).dictionary_encode() for batch in batches if batch.schema.get_field_index(name) >= 0]
