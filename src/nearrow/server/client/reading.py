"""Remote reading: how do the verbs that read a collection ask a server?"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import flight

from nearrow.analytics.exchange.export import export_rows
from nearrow.analytics.sql import check_question, formatted
from nearrow.awaitable import awaited_read
from nearrow.errors import InvalidArgumentError
from nearrow.index.text.snippet import Snippet
from nearrow.progress import bar
from nearrow.query.query import TARGET_RECALL, check_positive, query_vectors, vector_query
from nearrow.query.recall import Recall
from nearrow.schema import CollectionConfig, base_schema, canonical_id_array
from nearrow.server.client.connection import Connection
from nearrow.server.client.models import refuse_model
from nearrow.server.client.streams import Streams, as_matrix
from nearrow.server.wire.compact import unpack_answer
from nearrow.server.wire.hits import decode_hits
from nearrow.server.wire.questions import encoded_filter, question
from nearrow.server.wire.records import record_of
from nearrow.server.wire.requests import ticket
from nearrow.server.wire.values import dumps, loads

if TYPE_CHECKING:
    import pandas
    import polars


class RemoteReading:
    """The part of `RemoteCollection` that reads."""

    if TYPE_CHECKING:
        _streams: Streams
        _threads: int
        _closed: bool

        @property
        def _connection(self) -> Connection: ...
        @property
        def name(self) -> str: ...
        @property
        def config(self) -> CollectionConfig: ...

    @property
    def schema(self) -> pa.Schema:
        """Columns and types as they are now: id, vector, text fields, metadata."""
        descriptor = flight.FlightDescriptor.for_path(self.name)
        connection = self._connection
        return connection.attempts(
            # get_schema() would lose the class of an error
            lambda client, seconds: client.get_flight_info(descriptor, connection.call_options(seconds)).schema
        )

    def __len__(self) -> int:
        return self.count()

    def __contains__(self, id: object) -> bool:
        if not isinstance(id, (str, int)) or isinstance(id, bool):
            return False
        return bool(self._ask("contains", id=id))

    def get(self, ids: Any, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows with these ids, in the order asked; missing ids are absent. columns: default all, the vector too."""
        wanted = canonical_id_array(ids, base_schema(self.config)).to_pylist()
        return self._connection.table(ticket("get", collection=self.name, ids=wanted, columns=columns))[0]

    def count(self, where: Any = None) -> int:
        """How many rows there are, or match the filter."""
        return int(self._ask("count", where=encoded_filter(where)))

    def scan(
        self, where: Any = None, columns: Sequence[str] | None = None, batch_rows: int = 65536
    ) -> pa.RecordBatchReader:
        """The rows that match, or all, as a stream of batches of at most batch_rows, which comes as it is read."""
        check_positive("batch_rows", batch_rows)
        asked = ticket(
            "scan", collection=self.name, where=encoded_filter(where), columns=columns, batch_rows=batch_rows
        )
        return self._connection.reader(asked)

    def to_arrow(self) -> pa.Table:
        """All rows as a pyarrow.Table."""
        return self.scan().read_all()

    def to_pandas(self) -> pandas.DataFrame:
        """All rows as a pandas frame."""
        frame: pandas.DataFrame = self.to_arrow().to_pandas()
        return frame

    def to_polars(self) -> polars.DataFrame:
        """All rows as a polars frame."""
        import polars

        frame = polars.from_arrow(self.to_arrow())
        assert isinstance(frame, polars.DataFrame)
        return frame

    def export(
        self,
        path: str | os.PathLike[str],
        *,
        where: Any = None,
        columns: Sequence[str] | None = None,
        progress: bool = False,
    ) -> int:
        """Like `Collection.export`: the file is written here, as the rows come."""
        rows = self.scan(where, columns)
        with bar(f"exporting {self.name}", None if where is not None else len(self), progress) as advance:
            return export_rows(rows, path, advance)

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
        """Like `Collection.search`. The columns asked for come with the hits: columns=[] is the quickest.

        Functions (rerank=, a fusion of your own) cannot be sent, and query= needs a model: InvalidArgumentError.
        """
        refuse_model(query)
        if (
            (vector is not None and text is None and negatives is None and facets is None and group_by is None)
            and (after is None and rerank is None and diversity is None and not explain)
            and (isinstance(columns, (list, tuple)) and not columns)
        ):
            return self._nearest(vector, where, k, ef_search, target_recall, exact, within)
        settings = {name: value for name, value in locals().items() if name not in ("self", "vector", "query")}
        return self._search(vector, settings)

    def _nearest(self, vector: Any, where: Any, *plain: Any) -> Any:
        """A plain search for ids and distances: the short way."""
        try:
            asked = _plain_question(*plain)
        except TypeError:  # an argument that cannot be hashed is a mistake: the checks name it
            vector_query(*plain)
            raise
        if where is not None:
            asked = dumps({**loads(asked), "where": encoded_filter(where)})
        config = self.config
        vectors = query_vectors(vector, config.dimension, config.metric)
        single = vectors.ndim == 1
        if not single and len(vectors) == 0:
            return []
        if self._closed:
            self._connection.check_open()
        answers = self._streams.ask_compact(config.name, vectors[None] if single else vectors, asked)
        if single:
            return unpack_answer(answers[0], config.metric)[0]
        return [one for answer in answers for one in unpack_answer(answer, config.metric)]

    def _search(self, vector: Any, settings: dict[str, Any]) -> Any:
        names = ("k", "ef_search", "target_recall", "exact", "within")
        vector_query(*(settings[name] for name in names))  # refuses what no server would take
        asked = question(settings)
        text = settings["text"]
        snippet = None if text is None or isinstance(text, (list, tuple)) else self._snippets(asked["text"])
        if vector is None:
            if text is None:
                raise InvalidArgumentError("search() needs a vector, a text, or both")
            if isinstance(text, (list, tuple)) and not text:
                return []
            table, about = self._connection.table(ticket("search", collection=self.name, question=asked))
            found = decode_hits(_batch(table), about or b"{}", snippet)
            return found if isinstance(text, (list, tuple)) else found[0]
        vectors = query_vectors(vector, self.config.dimension, self.config.metric)
        if vectors.ndim == 2 and len(vectors) == 0:
            return []
        form = (repr(asked.get("columns")), text is None, settings["negatives"] is None)
        self._connection.check_open()
        answers = self._streams.ask(self.name, form, as_matrix(vectors), dumps(asked))
        hits = [one for batch, about in answers for one in decode_hits(batch, about, snippet)]
        return hits[0] if vectors.ndim == 1 and not isinstance(text, (list, tuple)) else hits

    def _snippets(self, text: Any) -> Callable[[str, str], Any]:
        def snippet(value: str, field: str) -> Snippet:
            return record_of(Snippet, self._ask("snippet", text=text, value=value, field=field))

        return snippet

    def facets(self, facets: Sequence[Any], where: Any = None, *, text: Any = None) -> dict[str, Any]:
        """Counts over all rows that match: a field's values, ranges ({"field":, "ranges":}), or min, max and average."""
        asked = {} if text is None else question({"text": text})
        counted: dict[str, Any] = self._ask("facets", facets=list(facets), where=encoded_filter(where), **asked)
        return counted

    def recall(
        self, k: int = 10, sample: int = 200, where: Any = None, *, target_recall: float = TARGET_RECALL
    ) -> Recall:
        """The recall@k of searches like the default ones, measured against exact search on this data: a float."""
        asked = {"k": k, "sample": sample, "where": encoded_filter(where), "target_recall": target_recall}
        measured = self._ask("recall", unlimited=True, **asked)
        return Recall(measured.pop("value"), **measured)

    def sql(self, query: str, parameters: Any = None, *, hits: Any = None, format: str = "arrow") -> Any:
        """Like `Collection.sql`, in a process of its own on the server, over what is durable; see `RemoteDatabase.sql`."""
        return ask_sql(self._connection, query, parameters, hits, format)

    aget = awaited_read(get)
    acount = awaited_read(count)
    asearch = awaited_read(search)
    afacets = awaited_read(facets)
    asql = awaited_read(sql)

    def _ask(self, action: str, /, *, unlimited: bool = False, **arguments: Any) -> Any:
        return self._connection.action(action, unlimited=unlimited, collection=self.name, **arguments)


def ask_sql(connection: Connection, query: str, parameters: Any, hits: Any, format: str) -> Any:
    """What a query gives, in this format."""
    check_question(query, format)
    if hits is not None:
        raise InvalidArgumentError(
            "hits= cannot be sent to a server; give their ids as a parameter: "
            "sql('… WHERE id IN (SELECT unnest($ids))', {'ids': hits.ids.tolist()})"
        )
    if parameters is not None and not isinstance(parameters, (list, tuple, dict)):
        raise InvalidArgumentError(f"parameters is a list (for ?) or a dict (for $name), not {parameters!r:.80}")
    return formatted(connection.table(ticket("sql", query=query, parameters=parameters))[0], format)


@lru_cache(maxsize=256, typed=True)
def _plain_question(*plain: Any) -> bytes:
    """The question with these k, ef_search, target_recall, exact, within; what no server would take is refused."""
    vector_query(*plain)
    return dumps(question(dict(zip(("k", "ef_search", "target_recall", "exact", "within"), plain, strict=True))))


def _batch(table: pa.Table) -> pa.RecordBatch:
    """The one batch of an answer."""
    batches = table.combine_chunks().to_batches()
    if batches:
        return batches[0]
    empty = [pa.array([], field.type) for field in table.schema]
    return pa.RecordBatch.from_arrays(empty, schema=table.schema)
