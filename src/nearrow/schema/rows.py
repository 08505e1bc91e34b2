"""Rows: how do rows of any kind become canonical, validated Arrow batches?

Canonical: `id` (string or int64), `vector` (FixedSizeList<float32|float16>[d]), the text fields (string), then metadata
of the types in `types`. What is refused is refused here, before anything is logged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from nearrow.errors import InvalidArgumentError, SchemaError
from nearrow.schema.config import ID_COLUMN, VECTOR_COLUMN, CollectionConfig, nearest_name, validate_column_name
from nearrow.schema.embedded import Embed, embedded_column, with_vectors
from nearrow.schema.evolve import base_schema, cast_column, conform, evolve
from nearrow.schema.few import few_rows
from nearrow.schema.identity import canonical_ids, id_type_of
from nearrow.schema.sources import Piece, Source, columns_of_keywords, open_source
from nearrow.schema.types import is_string, normalised
from nearrow.schema.vectors import canonical_vectors, check_vector_type, vector_type


class Rows:
    """Canonical batches on their way into a collection; iterate once.

    schema: the collection's user-facing schema with these rows in it, known before the first batch is drawn.
    count: number of rows, or None if only the end of the stream will tell.
    streamed: False if everything is in memory and *already validated*; True if each batch is validated as it is drawn,
        so that the caller must be able to roll back when one of them is refused.
    embedded: True if vectors were made of texts here.
    config: the one that they were checked against.
    """

    def __init__(
        self, source: Source, config: CollectionConfig, schema: pa.Schema | None, partial: bool, embedded: bool = False
    ) -> None:
        self.embedded = embedded
        self.config = config
        self._partial = partial
        self._trusted = source.trusted
        self.streamed = source.streamed
        self.count = source.count
        self.schema = base_schema(config) if schema is None else schema
        for given in source.schemas:
            if not given.equals(self.schema):  # else they are canonical already: nothing to learn, nothing to refuse
                self.schema = evolve(self.schema, incoming_schema(given, config, partial=partial))
        pieces = source.pieces
        self._batches = self._canonical(pieces) if source.streamed else iter(list(self._canonical(pieces)))

    @classmethod
    def of(cls, batch: pa.RecordBatch, config: CollectionConfig) -> Rows:
        """One batch that is canonical and checked already."""
        rows = cls(Source((), (), batch.num_rows, False), config, batch.schema, False)
        rows._batches = iter((batch,))
        return rows

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self._batches

    def _canonical(self, pieces: Any) -> Iterator[pa.RecordBatch]:
        for piece in pieces:
            yield self._canonical_batch(piece)

    def _canonical_batch(self, piece: Piece) -> pa.RecordBatch:
        batch, rows = piece
        if not self._trusted:
            try:
                batch.validate(full=True)
            except pa.ArrowInvalid as error:
                raise InvalidArgumentError(f"the Arrow data is malformed: {error}") from None
        ids = canonical_ids(batch.column(ID_COLUMN), rows[0])
        columns = {name: self._canonical_column(name, batch.column(name), ids, rows) for name in batch.schema.names}
        columns[ID_COLUMN] = ids
        schema = self.schema
        if self._partial:
            schema = pa.schema([field for field in schema if field.name in columns])
        clean = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
        return conform(clean, schema, first_row=rows[0])

    def _canonical_column(self, name: str, column: pa.Array, ids: pa.Array, rows: Sequence[int]) -> pa.Array:
        if name == ID_COLUMN:
            return ids
        if name == VECTOR_COLUMN:
            return canonical_vectors(column, self.config, lambda i: f"row {rows[i]} (id {ids[i].as_py()!r})")
        kept = cast_column(column, normalised(column.type, name), name, rows)
        return cast_column(kept, self.schema.field(name).type, name, rows)


def batches(
    rows: Any = None,
    *,
    ids: Any = None,
    vectors: Any = None,
    texts: Any = None,
    metadata: Any = None,
    config: CollectionConfig,
    schema: pa.Schema | None = None,
    partial: bool = False,
    embed: Embed | None = None,
) -> Rows:
    """`rows` (or the keywords) as canonical batches of at most 65,536 rows, and the evolved schema.

    rows: pyarrow Table, RecordBatch, RecordBatchReader or Dataset, a pandas or polars frame, anything with
        `__arrow_c_stream__`, a list of dicts, a dict of columns, or an iterator of batches.
    schema: the collection's schema so far (None: no rows yet).
    partial: for update(): only `id` is required, and each batch has only the columns that were given.
    embed: makes the vectors of rows that bring a text but none.

    Raises InvalidArgumentError (ids, vectors, lengths), DimensionMismatchError, SchemaError (types).
    """
    if rows is None and schema is not None and embed is None and not partial:
        few = few_rows(ids, vectors, texts, metadata, config, schema)
        if few is not None:
            return Rows.of(few, config)
    rows = rows_or_keywords(rows, ids, vectors, texts, metadata, config, embedded_column(config) if embed else None)
    source = given = open_source(rows, config, partial=partial)
    if embed is not None:
        source = with_vectors(given, config, embed, partial=partial)
    return Rows(source, config, schema, partial, source is not given)


def rows_or_keywords(
    rows: Any,
    ids: Any,
    vectors: Any,
    texts: Any,
    metadata: Any,
    config: CollectionConfig,
    text_field: str | None = None,
) -> Any:
    """`rows`, or the keywords as a dict of columns; InvalidArgumentError if both are given.

    `texts` are the column `text_field`, by default the first text field.
    """
    keywords = {"ids": ids, "vectors": vectors, "texts": texts, "metadata": metadata}
    named = [name for name, value in keywords.items() if value is not None]
    if rows is None:
        if text_field is None:
            text_field = next(iter(config.text_fields), None)
        return columns_of_keywords(ids, vectors, texts, metadata, config, text_field)
    if named:
        raise InvalidArgumentError(f"give either rows or the keywords, not both ({', '.join(named)} given beside rows)")
    return rows


def incoming_schema(given: pa.Schema, config: CollectionConfig, *, partial: bool) -> pa.Schema:
    """The canonical schema of rows given with schema `given`; refuses what no value could make right."""
    repeated = [name for name, count in Counter(given.names).items() if count > 1]
    if repeated:
        raise SchemaError(f"the rows have two columns called {repeated[0]!r}; rename one")
    for name in (ID_COLUMN,) if partial else (ID_COLUMN, VECTOR_COLUMN):
        if name not in given.names:
            raise InvalidArgumentError(f"the rows have no column {name!r}{nearest_name(name, given.names)}")
    return pa.schema([(field.name, _kept_type(field, config)) for field in given])


def _kept_type(field: pa.Field, config: CollectionConfig) -> pa.DataType:
    if field.name == ID_COLUMN:
        return id_type_of(field.type)
    if field.name == VECTOR_COLUMN:
        check_vector_type(field.type, config)
        return vector_type(config)
    validate_column_name(field.name)
    kept = normalised(field.type, field.name)
    if field.name in config.text_fields:
        if not is_string(kept) and not pt.is_null(kept):
            raise SchemaError(f"text field {field.name!r} holds strings, but the rows bring {field.type}; cast it")
        return pa.string()
    return kept
