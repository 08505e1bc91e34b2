"""Collection: which verbs does a collection have?

Those that read stand here, and delegate to `nearrow.query`; those that write are `RowVerbs`, the rest further mixins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearrow.analytics.sql_filter import SqlFilterEngine
from nearrow.analytics.verbs import AnalyticVerbs
from nearrow.awaitable import awaited_read, awaited_write
from nearrow.embedding.verbs import EmbeddingVerbs
from nearrow.embedding.words import answers_words
from nearrow.metrics import CollectionMetrics, expose, timed, withdraw
from nearrow.progress import steps
from nearrow.query.accept import Filters, matching_rows
from nearrow.query.ask import PLAIN, Extras, ask
from nearrow.query.executor import Source
from nearrow.query.facet_counts import facet_counts
from nearrow.query.filter import Filter
from nearrow.query.hit_rows import chosen_columns
from nearrow.query.query import TARGET_RECALL, VectorQuery, check_positive, vector_query
from nearrow.query.recall import Recall, measure_recall
from nearrow.query.text_search import TextSearch
from nearrow.query.usual import usual_packed
from nearrow.schema import CollectionConfig, canonical_id_array
from nearrow.segment.view import View
from nearrow.storage.fork import leave_behind, lives_on
from nearrow.write.effort import cpu_threads
from nearrow.write.follower import Follower
from nearrow.write.record import RowNumbers
from nearrow.write.row_verbs import RowVerbs
from nearrow.write.stats import gauges
from nearrow.write.verbs import UpkeepVerbs
from nearrow.write.writer import Writer


class Collection(EmbeddingVerbs, RowVerbs, AnalyticVerbs, UpkeepVerbs):
    """Rows with an id, a vector, texts and metadata. Get one from `Database.collection`; any thread may use it."""

    def __init__(
        self, store: Writer | Follower, on_close: Callable[[Collection], None] | None = None, database: str = ""
    ) -> None:
        """`database`: the path of its library."""
        super().__init__()
        self._on_close = on_close
        self._filters = Filters(SqlFilterEngine())
        self._threads = cpu_threads()
        self._library = database
        self._attach(store)
        if isinstance(store, Follower):
            lives_on(self)
        self.metrics = CollectionMetrics(database, store.config.name, lambda: gauges(self._store))
        expose(self.metrics)

    def _attach(self, store: Writer | Follower) -> None:
        self._store = store
        self._dimension = store.config.dimension
        self._search = Source(store.config.metric, lambda: store.view, self._filters, store.texts)

    # ---- forks: a child reads on with its parent's reader (storage.fork); a writer of the parent's is closed there

    def _hold_still(self) -> None:
        self._reader().hold_still()

    def _go_on(self) -> None:
        self._reader().go_on()

    def _begin_in_child(self) -> None:
        leave_behind(self._filters)
        self._filters = Filters(SqlFilterEngine())
        self._reader().begin_in_child()
        self._attach(self._store)

    def _reader(self) -> Follower:
        assert isinstance(self._store, Follower)
        return self._store

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

    # ---- reading

    @timed
    def get(self, ids: Any, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows with these ids, in the order asked; missing ids are absent. columns: default all, the vector too."""
        view = self._view()
        chosen = list(view.schema.names) if columns is None else chosen_columns(view.schema, columns)
        owner, position = view.find(canonical_id_array(ids, view.schema))
        found = owner >= 0
        return view.take(owner[found], position[found], chosen)

    def count(self, where: Any = None) -> int:
        """How many rows there are, or match the filter."""
        view = self._view()
        return sum(allowed.count for allowed in self._filters.accept(view, self._filter(where, view)))

    def scan(
        self, where: Any = None, columns: Sequence[str] | None = None, batch_rows: int = 65536
    ) -> pa.RecordBatchReader:
        """The rows that match, or all, as a stream of batches; zero-copy where whole batches of a segment are wanted."""
        check_positive("batch_rows", batch_rows)
        view = self._view()
        chosen = list(view.schema.names) if columns is None else chosen_columns(view.schema, columns)
        schema = pa.schema([view.schema.field(name) for name in chosen])
        wanted = [allowed.bits for allowed in self._filters.accept(view, self._filter(where, view))]
        return pa.RecordBatchReader.from_batches(schema, view.scan(chosen, batch_rows, wanted))

    def to_arrow(self) -> pa.Table:
        """All rows as a pyarrow.Table; mapped, not copied, where whole batches of a segment are alive."""
        return self.scan().read_all()

    @answers_words
    def search(
        self,
        vector: Any = None,
        text: Any = None,
        k: int | None = 10,
        where: Any = None,
        *,
        query: Any = None,
        negatives: Any = None,
        negative_weight: float = 0.5,
        fusion: Any = "rrf",
        ef_search: int | None = None,
        target_recall: float = TARGET_RECALL,
        exact: bool = False,
        within: float | None = None,
        columns: Sequence[str] | None = None,
        facets: Sequence[Any] | None = None,
        group_by: str | None = None,
        group_size: int = 1,
        after: str | None = None,
        rerank: Callable[..., Any] | None = None,
        diversity: float | None = None,
        strict: bool = False,
        explain: bool = False,
    ) -> Any:
        """The best rows: Hits for a 1-D `vector` or a text, a list of Hits for a 2-D one (computed in parallel).

        vector: nearest rows. text: BM25 over the text fields: words, "a phrase", +must, -not, fuzzy~1, prefix*,
            field:word, word^2; strict=True raises for what cannot be parsed. Both: hybrid, joined by `fusion`
            ("rrf", "weighted", "max", "min", "average", RRF(k=60), Weighted(0.7, 0.3), or a function).
        query: what a user types, or a list of that: the collection's embedding model makes the vector, and if there are
            text fields the same words are looked for too (unless text= says other ones).
        k: min(k, rows that match) come back, always. where: a filter (dict, SQL expression, pyarrow expression); for a
            batch also a list with one for each query.
        negatives: vectors to stay away from: rank by distance - negative_weight * mean distance to them.
        ef_search: an explicit beam (how many nodes are expanded: may be less than k); else target_recall picks one from
            a curve measured when the graph was built.
        exact: brute force. within: only distance <= within (then k may be None: all of them).
        columns: which come back (default: all but the vector). facets: counted over all rows that match where and text.
        group_by: at most `group_size` hits for each value of a column. after: `hits.cursor` of the page before.
        rerank: (request, hits) -> scores, for 4k hits. diversity: 0..1, unlike hits first (MMR). explain: hits.explanation.
        """
        began = perf_counter()
        plain = text is None and negatives is None and facets is None and group_by is None and after is None
        extras = PLAIN
        if not plain or explain or rerank is not None or diversity is not None:
            extras = Extras(
                text,
                strict,
                negatives,
                negative_weight,
                fusion,
                facets,
                group_by,
                group_size,
                after,
                rerank,
                diversity,
                explain,
            )
        try:
            query = vector_query(k, ef_search, target_recall, exact, within)
            found = ask(self._source(), self._dimension, vector, query, where, columns, extras, self._threads)
        except BaseException as error:
            self.metrics.search.failed_with(error, began)
            raise
        self.metrics.search.ended(began, len(found) if isinstance(found, list) else 1)
        return found

    def _search_packed(self, vector: npt.NDArray[np.float32], query: VectorQuery, where: Any) -> bytes | None:
        """What a server sends of a plain search: ids and distances, see `query.usual`; None: `search` has to be asked."""
        began = perf_counter()
        source = self._source()
        condition = None if where is None else self._filter(where, source.newest())
        packed = usual_packed(source, vector, query, condition)
        if packed is not None:
            self.metrics.search.ended(began)
        return packed

    def facets(self, facets: Sequence[Any], where: Any = None, *, text: Any = None) -> dict[str, Any]:
        """Counts over all rows that match: a field's values, ranges ({"field":, "ranges":}), or min, max and average."""
        source = self._source()
        view, words = source.newest(), None
        if text is not None:
            view, texts = source.text_views()
        accept = self._filters.accept(view, self._filter(where, view))
        if text is not None:
            words = TextSearch(view, texts, accept, text, strict=False)
        return facet_counts(facets, view, accept, words, self._filters)

    def recall(
        self, k: int = 10, sample: int = 200, where: Any = None, *, target_recall: float = TARGET_RECALL
    ) -> Recall:
        """The recall@k of searches like the default ones, measured against exact search on this data: a float."""
        check_positive("sample", sample)
        view = self._view()
        accept = self._filters.accept(view, self._filter(where, view))
        query = VectorQuery(k, target_recall=target_recall)
        return measure_recall(view, self.config.metric, accept, query, sample, self.config.seed, cpu_threads())

    aget = awaited_read(get)
    acount = awaited_read(count)
    asearch = awaited_read(search)
    afacets = awaited_read(facets)

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
        if self.config.text_fields:
            with steps(f"indexing the texts of {self.name}", progress) as step:
                self._writer().index_texts(step)
        with steps(f"building the graph of {self.name}", progress) as step:
            self._writer().wait(step)

    aflush = awaited_write(flush)
    acompact = awaited_write(compact)

    def refresh(self) -> None:
        """Of a reader: catch up with the writer. A writer is always up to date."""
        self._store.refresh()
        self._dimension = self.config.dimension  # the writer may have changed over to another model

    def close(self, wait: bool = True) -> None:
        """Make everything durable and let go. wait=False leaves unfinished graphs to the next open."""
        if isinstance(self._store, Writer):
            self._store.close(wait=wait)
        else:
            self._store.close()
        withdraw(self.metrics)
        if self._on_close is not None:
            self._on_close(self)

    # ---- inside

    def _view(self) -> View:
        self._store.check_open()
        return self._store.view

    def _source(self) -> Source:
        """What searches ask, once it is known to be open."""
        self._store.check_open()
        return self._search

    def _matching(self, where: Any) -> Callable[[View], RowNumbers]:
        """A function from a view to the row numbers that match."""

        def matching(view: View) -> RowNumbers:
            return matching_rows(view, self._filters.accept(view, self._filter(where, view)))

        return matching

    def _filter(self, where: Any, view: View) -> Filter | None:
        return self._filters.parse(where, view.schema)

    def _writer(self) -> Writer:
        if not isinstance(self._store, Writer):
            self._store.check_writable()
        assert isinstance(self._store, Writer)
        return self._store
