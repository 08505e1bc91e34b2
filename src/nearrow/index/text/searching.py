"""Searching: which questions does a text index answer with its newest view?

Each method is TextView's of the same name. A caller that asks several times and wants one version takes the view.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from nearrow.index.text.query import TextQuery
from nearrow.index.text.snippet import Snippet
from nearrow.index.text.view import Accept, RowNumbers, Scores, TextView


class Searching(Protocol):
    """Needs `view`, gives the searches."""

    @property
    def view(self) -> TextView:
        """The newest version."""

    def search(
        self,
        query: str | TextQuery,
        limit: int,
        *,
        accept: Accept | None = None,
        rows: RowNumbers | None = None,
        fields: Iterable[str] | None = None,
        strict: bool | None = None,
    ) -> tuple[RowNumbers, Scores]:
        """See TextView.search."""
        return self.view.search(query, limit, accept=accept, rows=rows, fields=fields, strict=strict)

    def matches(
        self, query: str | TextQuery, *, fields: Iterable[str] | None = None, strict: bool | None = None
    ) -> RowNumbers:
        """See TextView.matches."""
        return self.view.matches(query, fields=fields, strict=strict)

    def count(self, query: str | TextQuery, *, fields: Iterable[str] | None = None, strict: bool | None = None) -> int:
        """See TextView.count."""
        return self.view.count(query, fields=fields, strict=strict)

    def scores_of(
        self,
        query: str | TextQuery,
        rows: RowNumbers,
        *,
        fields: Iterable[str] | None = None,
        strict: bool | None = None,
    ) -> Scores:
        """See TextView.scores_of."""
        return self.view.scores_of(query, rows, fields=fields, strict=strict)

    def snippet(self, query: str | TextQuery, text: str, *, field: str | None = None, characters: int = 160) -> Snippet:
        """See TextView.snippet."""
        return self.view.snippet(query, text, field=field, characters=characters)


__all__ = ["Searching"]
