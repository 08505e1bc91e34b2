"""Text settings: how is one field cut into terms, and what tells that an index was made that way?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from nearrow.errors import CorruptionError, InvalidArgumentError
from nearrow.schema.config import CollectionConfig, TextSettings

ANALYSIS_VERSION = 1
"""Raised whenever the same settings would cut a text into other terms: older indexes are then rebuilt."""


class RebuildNeededError(CorruptionError):
    """The text folder cannot be used as it is: remove it, open it again, and add all rows.

    Nothing is lost, for the text index is derived. The message says what was found. This is a signal between layers;
    a user sees it only if nobody rebuilds, and then as the CorruptionError that it is.
    """


@dataclass(frozen=True)
class TextField:
    """One searchable column: its name, how it is cut into terms, and how much a match in it weighs."""

    name: str
    settings: TextSettings = field(default_factory=TextSettings)
    boost: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 < self.boost < float("inf"):
            raise InvalidArgumentError(f"the boost of text field {self.name!r} must be positive, not {self.boost!r}")

    @property
    def analysis(self) -> str:
        """Identifies field and analysis: the tokenizer's name in Tantivy's metadata, and so compared at open."""
        return json.dumps(
            {"nearrow": ANALYSIS_VERSION, "field": self.name, **self.settings.to_dict()},
            sort_keys=True, separators=(",", ":"),
        )  # fmt: skip


def text_fields_of(config: CollectionConfig) -> tuple[TextField, ...]:
    """The text fields of a collection, in their order."""
    return tuple(TextField(name, config.text_settings_of(name)) for name in config.text_fields)


def checked_fields(fields: Sequence[TextField | str]) -> tuple[TextField, ...]:
    """Fields given by name or with settings, refused if empty or repeated."""
    known = tuple(TextField(item) if isinstance(item, str) else item for item in fields)
    names = [item.name for item in known]
    if not names or len(set(names)) != len(names):
        raise InvalidArgumentError(f"a text index needs text fields with different names, not {names}")
    return known


__all__ = ["ANALYSIS_VERSION", "RebuildNeededError", "TextField", "checked_fields", "text_fields_of"]
