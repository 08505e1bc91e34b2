"""Verbs: how do rows come into a collection, change, and go?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from nearrow.awaitable import awaited_write
from nearrow.errors import InvalidArgumentError
from nearrow.metrics import CollectionMetrics, timed
from nearrow.progress import bar
from nearrow.schema import CollectionConfig, Embed, batches, canonical_id_array, embedded_column
from nearrow.segment.view import View
from nearrow.write.core import ModelChangedError
from nearrow.write.record import RowNumbers
from nearrow.write.transaction import Transaction
from nearrow.write.writer import Writer

Rows = Any
"""pyarrow Table, RecordBatch, RecordBatchReader or Dataset, pandas or polars frame, list of dicts, dict of columns."""


class RowVerbs:
    """The part of `Collection` that writes rows; the collection gives its writer and its filters."""

    if TYPE_CHECKING:
        metrics: CollectionMetrics

        @property
        def name(self) -> str: ...
        @property
        def config(self) -> CollectionConfig: ...
        def wait(self, progress: bool = False) -> None: ...
        def _writer(self) -> Writer: ...
        def _embedding(self, rows: int | None, progress: bool) -> AbstractContextManager[Embed | None]: ...
        def _matching(self, where: Any) -> Callable[[View], RowNumbers]: ...

    @timed
    def add(
        self,
        rows: Rows = None,
        *,
        ids: Any = None,
        vectors: Any = None,
        texts: Any = None,
        metadata: Any = None,
        progress: bool = False,
    ) -> int:
        """Add new rows as one atomic batch; returns how many.

        Raises AlreadyExistsError if an id exists or is repeated, SchemaError for a type conflict, InvalidArgumentError
        for NaN, a zero vector under cosine, an empty or over-long id; nothing is written then. With an embedding model
        rows may bring a text instead of a vector.
        """
        return self._put(rows, ids, vectors, texts, metadata, progress, refuse_existing=True)

    @timed
    def upsert(
        self,
        rows: Rows = None,
        *,
        ids: Any = None,
        vectors: Any = None,
        texts: Any = None,
        metadata: Any = None,
        progress: bool = False,
    ) -> int:
        """Add rows, or replace whole rows by id, as one atomic batch; of a repeated id the last wins. Returns how many."""
        return self._put(rows, ids, vectors, texts, metadata, progress, refuse_existing=False)

    def _put(
        self, rows: Rows, ids: Any, vectors: Any, texts: Any, metadata: Any, progress: bool, *, refuse_existing: bool
    ) -> int:
        writer = self._writer()
        while True:
            with self._embedding(_rows_in(rows, ids), progress) as embed:
                checked = batches(
                    rows,
                    ids=ids,
                    vectors=vectors,
                    texts=texts,
                    metadata=metadata,
                    config=self.config,
                    schema=writer.core.state.schema,
                    embed=embed,
                )
            with bar(f"writing to {self.name}", checked.count, progress) as advance:
                try:
                    count = writer.put(checked, refuse_existing=refuse_existing, advance=advance)
                except ModelChangedError:
                    if checked.embedded and not checked.streamed:
                        continue  # the texts are still here: the new model embeds them
                    raise
            if progress:
                self.wait(progress)
            return count

    @timed
    def update(
        self,
        rows: Rows = None,
        *,
        where: Any = None,
        ids: Any = None,
        vectors: Any = None,
        texts: Any = None,
        metadata: Any = None,
    ) -> int:
        """Change only the columns given, of rows that exist; returns how many. NotFoundError if an id does not exist.

        With `where`, rows is one dict without an id: these values go to every row that matches. With an embedding model
        a new text without a vector gets a new vector.
        """
        writer = self._writer()
        if where is not None:
            if not isinstance(rows, dict) or "id" in rows:
                raise InvalidArgumentError("update(where=…) takes one dict of new values, without an id")
            return writer.update_where(self._matching(where), self._with_vector(rows))
        with self._embedding(None, False) as embed:
            checked = batches(
                rows,
                ids=ids,
                vectors=vectors,
                texts=texts,
                metadata=metadata,
                config=self.config,
                schema=writer.core.state.schema,
                partial=True,
                embed=embed,
            )
        return writer.update(checked)

    @timed
    def delete(self, ids: Any = None, *, where: Any = None) -> int:
        """Delete rows by id (ids that do not exist are ignored), or all that match a filter. Returns how many went."""
        writer = self._writer()
        if (ids is None) == (where is None):
            raise InvalidArgumentError("delete() needs either ids or where=")
        if ids is not None:
            return writer.delete(canonical_id_array(ids, writer.core.state.schema))
        return writer.delete_where(self._matching(where))

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Collect writes and make them one atomic unit at the end of the block; an exception rolls all back."""
        with self._embedding(None, False) as embed:
            transaction = Transaction(self._writer(), embed)
            yield transaction
            self.metrics.call("transaction", transaction.commit)

    def _with_vector(self, values: dict[str, Any]) -> dict[str, Any]:
        """New values for many rows, with the vector of the text if that is among them."""
        text = values.get(embedded_column(self.config))
        with self._embedding(None, False) as embed:
            if embed is None or text is None or "vector" in values:
                return values
            return {**values, "vector": embed([text])[0]}

    aadd = awaited_write(add)
    aupsert = awaited_write(upsert)
    aupdate = awaited_write(update)
    adelete = awaited_write(delete)


def _rows_in(rows: Any, ids: Any) -> int | None:
    """How many rows were given, if that can be told without reading them."""
    given = ids if rows is None else rows
    return len(given) if hasattr(given, "__len__") and not isinstance(given, dict) else None
