"""Parsed: was this filter parsed before, against the same schema?

A program asks with the same few filters again and again. Parsing costs from 20 µs (a dict) to milliseconds (SQL), so what
was parsed is kept by its spelling; the Filter that comes back is the same object, whose key then hashes at once.
"""

from __future__ import annotations

import marshal
from collections.abc import Hashable
from contextlib import suppress
from typing import Any

import pyarrow as pa

from nearrow import compute as pc
from nearrow.query.filter import Filter, SqlEngine, parse_filter
from nearrow.query.filter.cache import BytesCache

BYTES_MAX = 8 << 20
FILTER_BYTES = 2_048  # what a parsed filter takes besides its operands, roughly
SCALARS = frozenset({str, int, float, bool, type(None)})
CONTAINERS = frozenset({dict, list, tuple})
MARSHAL_VERSION = 2
"""Without references: the same values give the same bytes whoever else holds them."""


class ParsedFilters:
    """Filters by their spelling. Thread-safe; one per collection."""

    def __init__(self, sql: SqlEngine | None) -> None:
        self._sql = sql
        self._schema: pa.Schema | None = None
        self._known: BytesCache[tuple[pa.Schema, Filter, Any]] = BytesCache(BYTES_MAX)

    def parse(self, where: Any, schema: pa.Schema) -> Filter | None:
        """The filter that `where` spells; None for None. FilterError as parse_filter raises it."""
        if where is None or isinstance(where, Filter):
            return where
        known = self._known
        packed: bytes | None = None
        if type(where) is dict:
            # A dict that is not plain gives no bytes that a plain one gives, so what was kept need not be looked through.
            with suppress(ValueError):  # not of marshal's types: it has no spelling
                packed = marshal.dumps(where, MARSHAL_VERSION)
                found = known.get(None, packed) if self._schema is schema else None
                if found is not None and found[0] is schema:
                    return found[1]
        key, size = _spelling(where, packed)
        if key is None:
            return parse_filter(where, schema, self._sql)
        if self._schema is not schema:
            # A new cache rather than a cleared one: a search that still parses by the old schema keeps the old cache.
            known = self._known = BytesCache(BYTES_MAX)
            self._schema = schema
        found = known.get(None, key)
        if found is not None and found[0] is schema:
            return found[1]
        parsed = parse_filter(where, schema, self._sql)
        known.put_sized(None, key, (schema, parsed, where), size + FILTER_BYTES)
        return parsed


def _spelling(where: Any, packed: bytes | None) -> tuple[Hashable | None, int]:
    """A key that equals another filter's only if both mean the same, and its bytes; None if there is no cheap one.

    packed: a dict as marshal writes it, if it does.
    """
    if type(where) is str:
        return where, len(where)
    if packed is not None and _is_plain(where, 0):
        return packed, 2 * len(packed)
    if isinstance(where, pc.Expression):
        return id(where), FILTER_BYTES  # immutable, and kept alive by its entry
    return None, 0


def _is_plain(value: Any, depth: int) -> bool:
    """Made of Python's own containers, strings and numbers only, which marshal writes without confusing two of them."""
    if depth > 64:
        return False
    if type(value) is dict:
        inner: Any = value.values()
        if any(type(key) is not str for key in value):
            return False
    else:
        inner = value
    kinds = set(map(type, inner))
    if kinds <= SCALARS:
        return True
    return kinds <= SCALARS | CONTAINERS and all(_is_plain(one, depth + 1) for one in inner if type(one) in CONTAINERS)
