"""Collection: which verbs does a collection have?

Each verb checks its arguments and delegates: writes to `nearrow.write`, searches to `nearrow.query`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from nearrow.errors import InvalidArgumentError
from nearrow.progress import bar, steps
from nearrow.query.executor import chosen_columns, vector_search
from nearrow.query.nearest import alive
from nearrow.query.query import TARGET_RECALL, VectorQuery, check_positive, query_vectors
from nearrow.schema import CollectionConfig, batches, canonical_id_array
from nearrow.segment.view import View
from nearrow.write.background import cpu_threads
from nearrow.write.follower import Follower
from nearrow.write.transaction import Transaction
from nearrow.write.writer import Writer

if TYPE_CHECKING:
    import pandas
    import polars

Rows = Any
"""pyarrow Table, RecordBatch, RecordBatchReader or Dataset, pandas or polars frame, list of dicts, dict of columns."""


class Collection:
    """Rows with an id, a vector, texts and metadata. Get one from `Database.collection`; any thread may use it."""

    def __init__(self, store: Writer | Follower, on_close: Callable[[Collection], None] | None = None) -> None:
        self._store = store
        self._on_close = on_close

    # ---- about

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def config(self) -> CollectionConfig:
        """The settings that it was created with."""
        return self._store.config

    @property
    def schema(self) -> pa.Schema:
        """Columns and types as they are now: id, vector, text fields, metadata."""
        return self._view().schema

    def __len__(self) -> int:
        return self.count()

    def __contains__(self, id: object) -> bool:
        if not isinstance(id, (str, int)) or isinstance(id, bool):
            return False
        view = self._view()
        owner, _ = view.find(canonical_id_array([id], view.schema))
        return bool(owner[0] >= 0)

    def __repr__(self) -> str:
        config = self.config
        return f"<Collection {self.name!r}: {config.dimension} dimensions, {config.metric}>"

    # ---- writing

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
        for NaN, a zero vector under cosine, an empty or over-long id; nothing is written then.
        """
        return self._put(rows, ids, vectors, texts, metadata, progress, refuse_existing=True)

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
        checked = batches(
            rows,
            ids=ids,
            vectors=vectors,
            texts=texts,
            metadata=metadata,
            config=self.config,
            schema=writer.core.state.schema,
        )
        with bar(f"writing to {self.name}", checked.count, progress) as advance:
            count = writer.put(checked, refuse_existing=refuse_existing, advance=advance)
        if progress:
            with steps(f"building the graph of {self.name}", True) as step:
                writer.wait(step)
        return count

    def update(
        self, rows: Rows = None, *, ids: Any = None, vectors: Any = None, texts: Any = None, metadata: Any = None
    ) -> int:
        """Change only the columns given, of rows that exist; returns how many. NotFoundError if an id does not exist."""
        writer = self._writer()
        checked = batches(
            rows,
            ids=ids,
            vectors=vectors,
            texts=texts,
            metadata=metadata,
            config=self.config,
            schema=writer.core.state.schema,
            partial=True,
        )
        return writer.update(checked)

    def delete(self, ids: Any = None) -> int:
        """Delete rows by id; ids that do not exist are ignored. Returns how many went."""
        writer = self._writer()
        if ids is None:
            raise InvalidArgumentError("delete() needs ids")
        return writer.delete(canonical_id_array(ids, writer.core.state.schema))

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Collect writes and make them one atomic unit at the end of the block; an exception rolls all back."""
        transaction = Transaction(self._writer())
        yield transaction
        transaction.commit()

    # ---- reading

    def get(self, ids: Any, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows with these ids, in the order asked; missing ids are absent. columns: default all, the vector too."""
        view = self._view()
        chosen = list(view.schema.names) if columns is None else chosen_columns(view.schema, columns)
        owner, position = view.find(canonical_id_array(ids, view.schema))
        found = owner >= 0
        return view.take(owner[found], position[found], chosen)

    def count(self) -> int:
        """How many rows there are."""
        return self._view().count

    def scan(self, columns: Sequence[str] | None = None, batch_rows: int = 65536) -> pa.RecordBatchReader:
        """All rows as a stream of batches; zero-copy where whole batches of a segment are alive."""
        check_positive("batch_rows", batch_rows)
        view = self._view()
        chosen = list(view.schema.names) if columns is None else chosen_columns(view.schema, columns)
        schema = pa.schema([view.schema.field(name) for name in chosen])
        return pa.RecordBatchReader.from_batches(schema, view.scan(chosen, batch_rows))

    def to_arrow(self) -> pa.Table:
        """All rows as a pyarrow.Table; mapped, not copied, where whole batches of a segment are alive."""
        return self.scan().read_all()

    def to_pandas(self) -> pandas.DataFrame:
        """All rows as a pandas frame."""
        return self.to_arrow().to_pandas()

    def to_polars(self) -> polars.DataFrame:
        """All rows as a polars frame."""
        import polars

        frame = polars.from_arrow(self.to_arrow())
        assert isinstance(frame, polars.DataFrame)
        return frame

    def search(
        self,
        vector: Any = None,
        *,
        k: int | None = 10,
        ef_search: int | None = None,
        target_recall: float = TARGET_RECALL,
        exact: bool = False,
        within: float | None = None,
        columns: Sequence[str] | None = None,
    ) -> Any:
        """The rows nearest to `vector`: Hits for a 1-D array, a list of Hits for a 2-D one (computed in parallel).

        k: how many; min(k, rows) come back, always. ef_search: an explicit beam; else target_recall chooses it from a
        curve measured when the graph was built. exact: brute force. within: only distance <= within (k may be None).
        columns: which come back (default: all but the vector).
        """
        query = VectorQuery(k, ef_search, target_recall, exact, within)
        if vector is None:
            raise InvalidArgumentError("search() needs a vector")
        queries = query_vectors(vector, self.config.dimension, self.config.metric)
        view = self._view()
        batch = queries if queries.ndim == 2 else queries.reshape(1, -1)
        threads = cpu_threads() if len(batch) > 1 else 1
        found = vector_search(view, self.config.metric, batch, query, alive(view), columns, threads)
        return found if queries.ndim == 2 else found[0]

    # ---- upkeep

    def flush(self) -> None:
        """Seal: every row is in a segment when this returns."""
        self._writer().flush()

    def compact(self, progress: bool = False) -> None:
        """Merge everything into one segment without dead rows, and build its graph."""
        with steps(f"compacting {self.name}", progress) as step:
            self._writer().compact(step)

    def wait(self, progress: bool = False) -> None:
        """Return when no background work (sealing, graphs, merges) is left; StorageError if it failed."""
        with steps(f"building the graph of {self.name}", progress) as step:
            self._writer().wait(step)

    def refresh(self) -> None:
        """Of a reader: catch up with the writer. A writer is always up to date."""
        self._store.refresh()

    def close(self, wait: bool = True) -> None:
        """Make everything durable and let go. wait=False leaves unfinished graphs to the next open."""
        if isinstance(self._store, Writer):
            self._store.close(wait=wait)
        else:
            self._store.close()
        if self._on_close is not None:
            self._on_close(self)

    # ---- inside

    def _view(self) -> View:
        self._store.check_open()
        return self._store.view

    def _writer(self) -> Writer:
        if not isinstance(self._store, Writer):
            self._store.check_writable()
        assert isinstance(self._store, Writer)
        return self._store
