"""Wire records: how does a dataclass (Stats, Report, Repair, …) travel and come out as one?"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar

from nearrow.schema import CollectionConfig
from nearrow.server.wire.values import encode

Record = TypeVar("Record")


def record_dict(record: Any) -> Any:
    """The fields of a dataclass as JSON has them, those of dataclasses inside it too."""
    if isinstance(record, CollectionConfig):
        return record.to_dict()
    if is_dataclass(record) and not isinstance(record, type):
        return {field.name: record_dict(getattr(record, field.name)) for field in fields(record)}
    if isinstance(record, (list, tuple)):
        return [record_dict(item) for item in record]
    if isinstance(record, Mapping):
        return {key: record_dict(item) for key, item in record.items()}
    return encode(record)


def record_of(kind: type[Record], told: Mapping[str, Any]) -> Record:
    """The dataclass of these fields. A field that the other side does not know yet has its default."""
    hints = _hints(typing.cast(Any, kind))
    return kind(**{name: _value(hints[name], value) for name, value in told.items() if name in hints})


@cache
def _hints(kind: Any) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    return {name: hint for name, hint in typing.get_type_hints(kind).items() if name in names}


def _value(hint: Any, told: Any) -> Any:
    if hint is CollectionConfig:
        return CollectionConfig.from_dict(told)
    if is_dataclass(hint) and isinstance(hint, type):
        return record_of(hint, told)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple and isinstance(told, list):
        return tuple(_value(inner[0], item) for item in told)
    if origin in (typing.Union, types.UnionType) and told is not None:
        candidates = [one for one in inner if is_dataclass(one) or typing.get_origin(one) is not None]
        return _value(candidates[0], told) if len(candidates) == 1 else told
    if isinstance(told, dict) and inner:
        return {key: _value(inner[-1], item) for key, item in told.items()}
    return told
