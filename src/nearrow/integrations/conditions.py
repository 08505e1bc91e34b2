"""Conditions: how does a framework's condition on a metadata key become a filter over its columns?

A key that no document has matches as if every document lacked it. A missing value matches "is not" and "not in", and
nothing else, as in Nearrow's own dict filters.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from nearrow.errors import FilterError
from nearrow.integrations.metadata import MetadataColumns, kind_of, parsed_time

Where = dict[str, Any]

NOTHING: Where = {"id": {"$in": []}}
EVERYTHING: Where = {"$not": NOTHING}
NUMBERS = ("int", "float")
ORDERED = {"gt": "$gt", "gte": "$gte", "lt": "$lt", "lte": "$lte"}
LISTS = {"bool": ("bools",), "int": ("ints", "floats"), "float": ("ints", "floats"), "string": ("strings",)}


class Conditions:
    """Filters over the metadata columns of one schema."""

    def __init__(self, columns: MetadataColumns, schema: pa.Schema) -> None:
        self._columns = columns
        self._schema = schema

    def exists(self, key: str) -> Where:
        return self._any(key, None, {"$exists": True})

    def equals(self, key: str, value: Any) -> Where:
        """The value is this one; None: there is none."""
        if value is None:
            return negated(self.exists(key))
        kind = kind_of(value)
        if kind not in ("bool", *NUMBERS, "string", "time"):
            raise FilterError(
                f"metadata {key!r} is compared with {value!r:.40}; give a number, a text, a bool or a time"
            )
        return self._any(key, NUMBERS if kind in NUMBERS else (kind,), {"$eq": value})

    def is_in(self, key: str, values: Iterable[Any]) -> Where:
        """The value is one of these; None among them: or there is none."""
        return any_of([self.equals(key, value) for value in dict.fromkeys(values)])

    def ordered(self, key: str, operator: str, value: Any) -> Where:
        """The value is gt, gte, lt or lte this number or time. None compares with nothing, a text only if it is a time."""
        if value is None:
            return NOTHING
        if isinstance(value, str):
            time = parsed_time(value)
            if time is None:
                raise FilterError(f"metadata {key!r} is ordered by numbers and ISO 8601 times; {value!r} is neither")
            value = time
        kind = kind_of(value)
        if kind not in (*NUMBERS, "time"):
            raise FilterError(f"metadata {key!r} is ordered by numbers and ISO 8601 times, not by {value!r:.40}")
        if isinstance(value, datetime.datetime) and value.tzinfo is None:
            value = value.replace(tzinfo=datetime.UTC)
        return self._any(key, NUMBERS if kind in NUMBERS else ("time",), {ORDERED[operator]: value})

    def has_any(self, key: str, values: Sequence[Any]) -> Where:
        """The value, a list, has one of these, or is one of them."""
        return any_of([self.has(key, value) for value in values])

    def has_all(self, key: str, values: Sequence[Any]) -> Where:
        """The value, a list, has all of these."""
        return all_of([self.has(key, value) for value in values])

    def has(self, key: str, value: Any) -> Where:
        """The value, a list, has this element, or is it."""
        kind = kind_of(value)
        inside = self._any(key, LISTS[kind], {"$contains": value}) if kind in LISTS else NOTHING
        return any_of([inside, self.equals(key, value)])

    def has_text(self, key: str, text: str) -> Where:
        """The value, a text, has this part."""
        return self._any(key, ("string",), {"$contains": text})

    def matches(self, key: str, condition: Where) -> Where:
        """The value, a text, meets a condition of Nearrow's own, such as {"$regex": …}."""
        return self._any(key, ("string",), condition)

    def _any(self, key: str, kinds: Iterable[str] | None, condition: Where) -> Where:
        return any_of([{name: condition} for name in self._columns.columns_of(key, self._schema, kinds)])


def any_of(clauses: Sequence[Where]) -> Where:
    """One of the clauses; none of them: nothing."""
    return NOTHING if not clauses else clauses[0] if len(clauses) == 1 else {"$or": list(clauses)}


def all_of(clauses: Sequence[Where]) -> Where:
    """All clauses; none of them: everything."""
    return EVERYTHING if not clauses else clauses[0] if len(clauses) == 1 else {"$and": list(clauses)}


def negated(clause: Where) -> Where:
    return {"$not": clause}
