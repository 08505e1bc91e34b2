"""Query: which parts does a text query have?

Frozen values, compared by tests; ``grammar`` parses them, ``compile`` turns them into Tantivy's queries.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from nearrow.errors import InvalidArgumentError

QUERY_CHARACTERS_MAX = 65_536

_SIGNS = re.compile(r"[+\-\"()~^*:\\]|\b(?:AND|OR|NOT)\b")


class Occur(Enum):
    SHOULD = ""
    MUST = "+"
    MUST_NOT = "-"


@dataclass(frozen=True)
class Word:
    """One written word (analysis may cut it into several terms). `edits` > 0: fuzzy; `prefix`: terms that begin so."""

    text: str
    field: str | None = None
    edits: int = 0
    prefix: bool = False


@dataclass(frozen=True)
class Phrase:
    """Words in this order, at most `slop` positions out of place."""

    text: str
    field: str | None = None
    slop: int = 0


@dataclass(frozen=True)
class Everything:
    """Every row."""


@dataclass(frozen=True)
class Clause:
    occur: Occur
    node: Node
    boost: float = 1.0


@dataclass(frozen=True)
class Group:
    clauses: tuple[Clause, ...] = ()


Node = Word | Phrase | Everything | Group


@dataclass(frozen=True)
class TextQuery:
    """A text query with its options.

    text: see the module's grammar. fields: search these (default: all text fields). operator: "or" | "and", how plain
    words combine. strict: refuse what does not follow the grammar.
    """

    text: str
    fields: tuple[str, ...] | None = None
    operator: str = "or"
    strict: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise InvalidArgumentError(f"a text query must be a str, not {type(self.text).__name__}")
        if len(self.text) > QUERY_CHARACTERS_MAX:
            size = len(self.text)
            raise InvalidArgumentError(f"the text query has {size} characters; the limit is {QUERY_CHARACTERS_MAX}")
        if self.operator not in ("or", "and"):
            raise InvalidArgumentError(f"operator must be 'or' or 'and', not {self.operator!r}")
        if self.fields is not None:
            object.__setattr__(self, "fields", (self.fields,) if isinstance(self.fields, str) else tuple(self.fields))

    @classmethod
    def plain(cls, text: str, fields: tuple[str, ...] | None = None, operator: str = "or") -> TextQuery:
        """A query for the words of `text` and nothing else, whatever signs are among them: for sentences and questions."""
        return cls(_SIGNS.sub(r"\\\g<0>", text), fields, operator)


__all__ = ["Clause", "Everything", "Group", "Node", "Occur", "Phrase", "TextQuery", "Word"]
