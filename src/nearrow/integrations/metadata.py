"""Metadata: how does free-form metadata become typed columns, and come back as it was?

The frameworks let every document have any keys, and a key have a number here and a string there. A column has one type.
So each (key, kind of value) is a column of its own: the first kind of a key takes the key's name, others the name with
`#kind`. What comes back is read from `metadata_json`, where the metadata lies as it was given; the columns are for
filters, facets and SQL. A string that is an ISO 8601 time is also there as a time, so that times compare as times.
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from nearrow.errors import InvalidArgumentError

JSON_COLUMN = "metadata_json"
KINDS: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int": pa.int64(),
    "float": pa.float64(),
    "string": pa.string(),
    "time": pa.timestamp("us", "UTC"),
    "bools": pa.list_(pa.bool_()),
    "ints": pa.list_(pa.int64()),
    "floats": pa.list_(pa.float64()),
    "strings": pa.list_(pa.string()),
}
OTHER = "other"  # a nested or mixed value: the column says only that there is one
LIST_KINDS = {"bool": "bools", "int": "ints", "float": "floats", "string": "strings"}
INT64 = range(-(2**63), 2**63)
SHORTEST_TIME = len("2024-01-01")
DATE_KEY, TIME_KEY = "__date__", "__datetime__"


def kind_of(value: Any) -> str:
    """The kind of a value that is not None."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if value in INT64 else OTHER
    if isinstance(value, float):
        return "float" if math.isfinite(value) else OTHER
    if isinstance(value, str):
        return "string"
    if isinstance(value, datetime.date):  # a datetime is one, too
        return "time"
    if isinstance(value, (list, tuple)) and value:
        kinds = {kind_of(element) for element in value if element is not None}
        if kinds == {"int", "float"}:
            return "floats"
        return LIST_KINDS.get(kinds.pop(), OTHER) if len(kinds) == 1 and None not in value else OTHER
    return OTHER


def parsed_time(text: str) -> datetime.datetime | None:
    """The time that an ISO 8601 text says, in UTC; without a zone it is taken for UTC. None if it says none."""
    if len(text) < SHORTEST_TIME or not text[:4].isdigit() or text[4] != "-":
        return None
    try:
        found = datetime.datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)
    except ValueError:
        return None
    return _utc(found)


def _utc(time: datetime.date) -> datetime.datetime:
    if not isinstance(time, datetime.datetime):
        time = datetime.datetime(time.year, time.month, time.day)
    return time.replace(tzinfo=datetime.UTC) if time.tzinfo is None else time.astimezone(datetime.UTC)


class MetadataColumns:
    """Which columns hold the metadata of a store; `taken` are column names that the store uses itself."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = {"id", "vector", JSON_COLUMN, *taken}

    def spread(self, metadatas: Sequence[Mapping[str, Any]], schema: pa.Schema) -> dict[str, pa.Array | list[str]]:
        """The columns of these documents' metadata, given the collection's schema as it is."""
        types = {field.name: field.type for field in schema}
        columns: dict[str, list[Any]] = {}
        for row, metadata in enumerate(metadatas):
            for key, value in metadata.items():
                for kind, kept in _kept(value):
                    name = self._column(key, kind, types)
                    types.setdefault(name, KINDS.get(kind, pa.bool_()))
                    columns.setdefault(name, [None] * len(metadatas))[row] = kept
        spread: dict[str, pa.Array | list[str]] = {JSON_COLUMN: [to_json(metadata) for metadata in metadatas]}
        spread.update({name: pa.array(values, types[name]) for name, values in columns.items()})
        return spread

    def columns_of(self, key: str, schema: pa.Schema, kinds: Iterable[str] | None = None) -> list[str]:
        """The columns that hold values of a key, of all kinds or these."""
        types = {field.name: field.type for field in schema}
        names = [self._column(key, kind, types) for kind in (kinds or (*KINDS, OTHER))]
        return [name for name in dict.fromkeys(names) if name in types]

    def keys(self, schema: pa.Schema) -> dict[str, list[str]]:
        """Key → the kinds of values that it has had."""
        found: dict[str, list[str]] = {}
        for field in schema:
            name, _, suffix = field.name.partition("#")
            kind = suffix or next((kind for kind, kept in KINDS.items() if kept.equals(field.type)), OTHER)
            if field.name not in self._taken:
                found.setdefault(name.removeprefix("meta:"), []).append(kind)
        return found

    def _column(self, key: str, kind: str, types: Mapping[str, pa.DataType]) -> str:
        """The column of (key, kind): the plain one if it is of that kind, or not there yet."""
        if not isinstance(key, str) or not key:
            raise InvalidArgumentError(f"metadata keys are non-empty strings, not {key!r}")
        name = f"meta:{key}" if key in self._taken or key[0] in "_$" or "#" in key else key
        known = types.get(name)
        plain = kind not in (OTHER, "time") and (known is None or pt.is_null(known) or known.equals(KINDS[kind]))
        return name if plain else f"{name}#{kind}"


def _kept(value: Any) -> Iterator[tuple[str, Any]]:
    """(kind, value as its column holds it); nothing for None and for an empty list."""
    if value is None or (isinstance(value, (list, tuple)) and not value):
        return
    kind = kind_of(value)
    if kind == "string":
        yield kind, value
        time = parsed_time(value)
        if time is not None:
            yield "time", time
    elif kind == "time":
        yield kind, _utc(value)
    else:
        yield kind, True if kind == OTHER else value


def to_json(metadata: Mapping[str, Any]) -> str:
    """The metadata as text; InvalidArgumentError names what JSON cannot hold."""
    try:
        return json.dumps(dict(metadata), ensure_ascii=False, default=_tagged)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(f"metadata must be JSON (and dates): {error}") from None


def from_json(text: str | None) -> dict[str, Any]:
    """The metadata that `to_json` wrote down."""
    metadata: dict[str, Any] = json.loads(text, object_hook=_untagged) if text else {}
    return metadata


def _tagged(value: Any) -> dict[str, str]:
    if isinstance(value, datetime.datetime):
        return {TIME_KEY: value.isoformat()}
    if isinstance(value, datetime.date):
        return {DATE_KEY: value.isoformat()}
    raise TypeError(f"{type(value).__name__} {value!r:.40}")


def _untagged(value: dict[str, Any]) -> Any:
    if value.keys() == {TIME_KEY}:
        return datetime.datetime.fromisoformat(value[TIME_KEY])
    if value.keys() == {DATE_KEY}:
        return datetime.date.fromisoformat(value[DATE_KEY])
    return value
