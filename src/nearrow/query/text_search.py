"""Text search: which visible rows match the words best?

The text index may still hold rows that have died, and part of the rows may be in a second, small index: what is not
accepted is skipped and the search goes on, so k come back if k match.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from nearrow.index.text import TextView
from nearrow.index.text.view import Prepared
from nearrow.query.accept import Accept, matching_positions
from nearrow.query.ranked import NOTHING, Ranked
from nearrow.segment.rows import only_alive
from nearrow.segment.view import View

RowNumbers = npt.NDArray[np.uint64]
Scores = npt.NDArray[np.float32]
LOOKED_UP_MAX = 2048
"""Fewer accepted rows than this are looked up one by one instead of searching the whole index for them."""


@dataclass(frozen=True)
class TextSearch:
    """One text query over one view."""

    view: View
    texts: Sequence[TextView]
    accept: Sequence[Accept]
    query: Any
    strict: bool
    among: RowNumbers | None = None
    """Only these rows, if given."""

    @cached_property
    def _prepared(self) -> Sequence[Prepared]:
        """The query as each text view understands it."""
        return [text.prepare(self.query, strict=self.strict) for text in self.texts]

    def search(self, limit: int) -> tuple[RowNumbers, Scores]:
        """The best `limit` accepted rows that match: row numbers and BM25 scores, best first."""
        few = self._few()
        found = [
            text.search(query, limit, accept=self.accepts, rows=few)
            for text, query in zip(self.texts, self._prepared, strict=True)
        ]
        if len(found) == 1:
            return found[0]
        rows = np.concatenate([np.empty(0, np.uint64), *(numbers for numbers, _ in found)])
        scores = np.concatenate([np.empty(0, np.float32), *(values for _, values in found)])
        order = np.lexsort((rows, -scores))[:limit]
        return rows[order], scores[order]

    def accepts(self, row_numbers: RowNumbers) -> npt.NDArray[np.bool_]:
        """Which of these rows are visible and pass the filter."""
        passed = np.zeros(len(row_numbers), np.bool_)
        if self.among is not None:
            wanted = np.isin(row_numbers, self.among)
            passed[wanted] = replace(self, among=None).accepts(row_numbers[wanted])
            return passed
        for part, allowed in zip(self.view.parts, self.accept, strict=True):
            if allowed.count:
                positions = part.locate(row_numbers)
                passed |= only_alive(positions, allowed.bits) >= 0
        return passed

    def scores_of(self, rows: RowNumbers) -> Scores:
        """The BM25 score of each row, NaN where it does not match."""
        scores = np.full(len(rows), np.nan, np.float32)
        for text, query in zip(self.texts, self._prepared, strict=True):
            missing = np.isnan(scores)
            if missing.any():
                scores[missing] = text.scores_of(query, rows[missing])
        return scores

    def matches(self) -> RowNumbers:
        """All accepted rows that match."""
        found = [text.matches(query) for text, query in zip(self.texts, self._prepared, strict=True)]
        rows = np.concatenate([np.empty(0, np.uint64), *found])
        return rows[self.accepts(rows)]

    def ranked(self, limit: int) -> Ranked:
        rows, scores = self.search(limit)
        if len(rows) == 0:
            return NOTHING
        owner, position = self.view.locate(rows)
        nowhere = np.full(len(rows), np.nan, np.float32)
        return Ranked(
            owner, position, nowhere, scores, -scores.astype(np.float64), {"text_score": scores}, len(rows) < limit
        )

    def _few(self) -> RowNumbers | None:
        if self.among is not None and len(self.among) <= LOOKED_UP_MAX:
            return self.among
        if sum(allowed.count for allowed in self.accept) > LOOKED_UP_MAX:
            return None
        if self.view.count <= LOOKED_UP_MAX:
            return None
        return np.concatenate(
            [
                np.empty(0, np.uint64),
                *(
                    part.row_numbers_at(matching_positions(allowed, part.rows))
                    for part, allowed in zip(self.view.parts, self.accept, strict=True)
                    if allowed.count
                ),
            ]
        )
