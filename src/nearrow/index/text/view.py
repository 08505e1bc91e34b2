"""Text view: what does a query find in one committed version of the text index?

A view never changes, whatever is written or merged meanwhile. Rows come back best first, ties by row number, so that
the same rows with the same texts give the same order however they were written, as far as Tantivy's statistics agree
(deleted rows count in them until their segment is merged).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import tantivy

from nearrow.errors import InvalidArgumentError, NearrowError
from nearrow.index.text.compile import ROW, Compiler, everything
from nearrow.index.text.documents import count
from nearrow.index.text.grammar import parse
from nearrow.index.text.query import Group, TextQuery
from nearrow.index.text.settings import RebuildNeededError
from nearrow.index.text.snippet import Snippet, make_snippet

RowNumbers = npt.NDArray[np.uint64]
Scores = npt.NDArray[np.float32]
Hits = list[tuple[float, tantivy.DocAddress]]
Accept = Callable[[RowNumbers], npt.NDArray[np.bool_]]

GROWTH = 8
ROWS_PER_LOOKUP = 4_096
SINGLE_TERMS_MAX = 512


Result = TypeVar("Result")


def native(work: Callable[[], Result]) -> Result:
    """Run Tantivy's code; a failure or panic inside it means that the files cannot be trusted."""
    try:
        return work()
    except NearrowError:
        raise
    except Exception as error:
        raise RebuildNeededError(f"the text index cannot be read ({error}); it must be rebuilt") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # pyo3 derives it from BaseException; it cannot be imported
            raise
        raise RebuildNeededError(f"Tantivy panicked ({error}); the text index must be rebuilt") from error


@dataclass(frozen=True)
class Prepared:
    """A query compiled for one view, which takes it in the place of the query: for those who ask several times."""

    compiled: tantivy.Query


@dataclass(frozen=True)
class TextView:
    """One committed version. Holds every row below `watermark` that was alive after log record `lsn`."""

    searcher: tantivy.Searcher
    compiler: Compiler
    watermark: int
    lsn: int

    @property
    def rows(self) -> int:
        return native(lambda: count(self.searcher, everything()))

    def prepare(self, query: str | TextQuery, *, strict: bool | None = None) -> Prepared:
        """Raises InvalidArgumentError for a malformed query when strict."""
        return Prepared(self._compile(query, None, strict))

    def search(
        self,
        query: str | TextQuery | Prepared,
        limit: int,
        *,
        accept: Accept | None = None,
        rows: RowNumbers | None = None,
        fields: Iterable[str] | None = None,
        strict: bool | None = None,
    ) -> tuple[RowNumbers, Scores]:
        """The best `limit` rows, or as many as match: row numbers and BM25 scores, by (score falling, row number).

        accept: which of the given row numbers may come back; more are fetched until `limit` pass or none is left.
        rows: only these row numbers are looked at, which is faster than `accept` when they are few.
        Raises InvalidArgumentError for limit < 0, an unknown field, or a malformed query when strict.
        """
        if limit < 0:
            raise InvalidArgumentError(f"limit must not be negative, but is {limit}")
        compiled = self._compile(query, fields, strict)
        if limit == 0:
            return _none()
        if rows is not None:
            found, scores = self._scored(compiled, np.unique(np.asarray(rows, np.uint64)))
            if accept is not None:
                mask = np.asarray(accept(found), bool)
                found, scores = found[mask], scores[mask]
            return found[:limit], scores[:limit]
        documents = max(int(self.searcher.num_docs), 1)
        fetch = min(documents, limit + 16)
        while True:
            found, scores, complete = self._best(compiled, fetch)
            if accept is not None and len(found):
                mask = np.asarray(accept(found), bool)
                found, scores = found[mask], scores[mask]
            if complete or len(found) >= limit:
                return found[:limit], scores[:limit]
            fetch = min(documents + 1, fetch * GROWTH)

    def matches(
        self, query: str | TextQuery | Prepared, *, fields: Iterable[str] | None = None, strict: bool | None = None
    ) -> RowNumbers:
        """All rows that match, in rising order of row number."""
        compiled = self._compile(query, fields, strict)
        limit = max(int(self.searcher.num_docs), 1)
        order = tantivy.Order.Asc
        hits = native(lambda: self.searcher.search(compiled, limit, count=False, order_by_field=ROW, order=order).hits)
        return np.fromiter((row for row, _ in hits), np.uint64, len(hits))

    def count(self, query: str | TextQuery, *, fields: Iterable[str] | None = None, strict: bool | None = None) -> int:
        """How many rows match."""
        compiled = self._compile(query, fields, strict)
        return native(lambda: count(self.searcher, compiled))

    def scores_of(
        self,
        query: str | TextQuery | Prepared,
        rows: RowNumbers,
        *,
        fields: Iterable[str] | None = None,
        strict: bool | None = None,
    ) -> Scores:
        """The score of each given row, NaN where it does not match (or is not in this version)."""
        wanted = np.asarray(rows, np.uint64)
        distinct, back = np.unique(wanted, return_inverse=True)
        found, scores = self._scored(self._compile(query, fields, strict), distinct)
        completed = np.full(len(distinct), np.nan, np.float32)
        completed[np.searchsorted(distinct, found)] = scores
        result: Scores = completed[back]
        return result

    def snippet(
        self,
        query: str | TextQuery,
        text: str,
        *,
        field: str | None = None,
        characters: int = 160,
        fields: Iterable[str] | None = None,
    ) -> Snippet:
        """The part of `text` (a value of `field`, by default the first one) that shows best why it matches."""
        parsed, names = self._parse(query, fields, None)
        name = self.compiler.chosen([field])[0] if field is not None else names[0]
        return make_snippet(text, self.compiler.sought(parsed, names, name), self.compiler.analyzers[name], characters)

    def beside(self, larger: TextView) -> TextView:
        """This view with scores as if its rows were in `larger`, too: words weigh by how rare they are in both.

        For the few rows that came after a larger index was committed: on their own, a word that all of them hold would
        weigh next to nothing. The average length of a text stays that of this view.
        """
        return TextView(self.searcher, self.compiler.weighing(self.searcher, larger.searcher), self.watermark, self.lsn)

    def _parse(
        self, query: str | TextQuery, fields: Iterable[str] | None, strict: bool | None
    ) -> tuple[Group, Sequence[str]]:
        asked = query if isinstance(query, TextQuery) else TextQuery(query)
        if strict is not None and strict != asked.strict:
            asked = TextQuery(asked.text, asked.fields, asked.operator, strict)
        wanted = asked.fields if fields is None else ([fields] if isinstance(fields, str) else fields)
        names = self.compiler.chosen(wanted)
        return parse(asked, self.compiler.fields), names

    def _compile(
        self, query: str | TextQuery | Prepared, fields: Iterable[str] | None, strict: bool | None
    ) -> tantivy.Query:
        if isinstance(query, Prepared):
            return query.compiled
        parsed, names = self._parse(query, fields, strict)
        return native(lambda: self.compiler.compile(parsed, names))

    def _best(self, compiled: tantivy.Query, fetch: int) -> tuple[RowNumbers, Scores, bool]:
        """The best rows in final order, and whether they are all. Those that tie with the last one are held back."""
        hits = self._hits(compiled, fetch)
        found, scores = self._resolve(hits)
        complete = len(hits) < fetch or fetch >= self.searcher.num_docs
        if not complete:
            settled = int(np.count_nonzero(scores > scores[-1]))
            found, scores = found[:settled], scores[:settled]
        return found, scores, complete

    def _scored(self, compiled: tantivy.Query, rows: RowNumbers) -> tuple[RowNumbers, Scores]:
        """Those of `rows` that match, with their scores, in final order."""
        found: list[RowNumbers] = []
        scores: list[Scores] = []
        schema = self.compiler.schema
        for start in range(0, len(rows), ROWS_PER_LOOKUP):
            chunk = rows[start : start + ROWS_PER_LOOKUP].tolist()
            among = tantivy.Query.const_score_query(_any_row(schema, chunk), 0.0)
            both = tantivy.Query.boolean_query([(tantivy.Occur.Must, compiled), (tantivy.Occur.Must, among)])
            numbers, values = self._resolve(self._hits(both, len(chunk)))
            found.append(numbers)
            scores.append(values)
        if not found:
            return _none()
        return _ordered(np.concatenate(found), np.concatenate(scores))

    def _hits(self, compiled: tantivy.Query, limit: int) -> Hits:
        return native(lambda: self.searcher.search(compiled, limit, count=False).hits)

    def _resolve(self, hits: Hits) -> tuple[RowNumbers, Scores]:
        scores = np.fromiter((score for score, _ in hits), np.float32, len(hits))
        numbers = native(lambda: self.searcher.fast_field_values(ROW, [address for _, address in hits]))
        if None in numbers:
            raise RebuildNeededError("the text index holds a document without a row number; it must be rebuilt")
        return _ordered(np.array(numbers, np.uint64), scores)


def _any_row(schema: tantivy.Schema, rows: list[int]) -> tantivy.Query:
    """Few rows as single terms: a term set visits every document of every segment to begin with."""
    if len(rows) > SINGLE_TERMS_MAX:
        return tantivy.Query.term_set_query(schema, ROW, rows)
    terms = [(tantivy.Occur.Should, tantivy.Query.term_query(schema, ROW, row, "basic")) for row in rows]
    return tantivy.Query.boolean_query(terms)


def _ordered(rows: RowNumbers, scores: Scores) -> tuple[RowNumbers, Scores]:
    order = np.lexsort((rows, -scores))
    return rows[order], scores[order]


def _none() -> tuple[RowNumbers, Scores]:
    return np.empty(0, np.uint64), np.empty(0, np.float32)


__all__ = ["Accept", "Prepared", "RowNumbers", "Scores", "TextView", "native"]
