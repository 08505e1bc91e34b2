"""Documents: what does Tantivy keep for one row, and how does it remember up to where it is complete?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tantivy

from nearrow.errors import InvalidArgumentError, SchemaError
from nearrow.index.text.compile import ROW, Compiler, column_name, everything
from nearrow.index.text.settings import RebuildNeededError, TextField

MARK = "_mark"
WATERMARK = "_watermark"
LSN = "_lsn"
IDENTITY = "_identity"
NUMBERS = (ROW, MARK, WATERMARK, LSN, IDENTITY)
DELETES_PER_QUERY = 65_536


class Marker(NamedTuple):
    """What the marker document says of the commit that it stands in."""

    watermark: int
    lsn: int
    identity: int


def make_schema(fields: Sequence[TextField]) -> tantivy.Schema:
    """Texts are indexed, not stored: the rows keep them."""
    builder = tantivy.SchemaBuilder()
    for name in NUMBERS:
        builder.add_unsigned_field(name, indexed=name in (ROW, MARK), fast=True)
    for number, field in enumerate(fields):
        builder.add_text_field(column_name(number), tokenizer_name=field.analysis)
    return builder.build()


def checked_texts(
    compiler: Compiler, columns: Mapping[str, pa.Array | pa.ChunkedArray], rows: int
) -> list[list[str | None]]:
    """The texts of each field, as Tantivy is to see them; refused if they are no strings or of another length."""
    texts: list[list[str | None]] = []
    for name, analyzer in compiler.analyzers.items():
        column = columns.get(name)
        if column is None or pa.types.is_null(column.type):
            texts.append([None] * rows)
            continue
        if len(column) != rows:
            raise InvalidArgumentError(f"text field {name!r} has {len(column)} values for {rows} rows")
        if pa.types.is_string_view(column.type):
            column = column.cast(pa.large_string())
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            raise SchemaError(f"text field {name!r} must be a string column, not {column.type}")
        values: list[str | None] = []
        for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
            values += analyzer.column(chunk).to_pylist()
        texts.append(values)
    return texts


def add_rows(
    writer: tantivy.IndexWriter, numbers: npt.NDArray[np.uint64], texts: Sequence[Sequence[str | None]]
) -> None:
    """One document per row, also for one without text: "everything but …" finds it.

    Values go in through typed methods: a document that guesses its types (an int as signed) kills Tantivy's writer.
    """
    make, add = tantivy.Document, writer.add_document
    columns = [(column_name(number), column) for number, column in enumerate(texts)]
    for index, row in enumerate(numbers.tolist()):
        document = make()
        document.add_unsigned(ROW, row)
        for name, column in columns:
            text = column[index]
            if text:
                document.add_text(name, text)
        add(document)


def delete_rows(writer: tantivy.IndexWriter, schema: tantivy.Schema, numbers: Sequence[int]) -> None:
    """By query: deletion by term takes a Python int for a signed number, and silently deletes nothing."""
    for start in range(0, len(numbers), DELETES_PER_QUERY):
        some = numbers[start : start + DELETES_PER_QUERY]
        writer.delete_documents_by_query(tantivy.Query.term_set_query(schema, ROW, some))


def replace_marker(writer: tantivy.IndexWriter, schema: tantivy.Schema, marker: Marker) -> None:
    """Make the next commit carry `marker` and no older one."""
    writer.delete_documents_by_query(tantivy.Query.term_query(schema, MARK, 1))
    document = tantivy.Document()
    for name, value in ((MARK, 1), (WATERMARK, marker.watermark), (LSN, marker.lsn), (IDENTITY, marker.identity)):
        document.add_unsigned(name, value)
    writer.add_document(document)


def read_marker(searcher: tantivy.Searcher, schema: tantivy.Schema) -> Marker | None:
    """The marker of a commit; None for an index that was created and never committed."""
    hits = searcher.search(tantivy.Query.term_query(schema, MARK, 1), 2, count=False).hits
    rows = count(searcher, everything())
    if len(hits) > 1 or rows + len(hits) != searcher.num_docs:
        raise RebuildNeededError("the text index lost its marker or miscounts its rows; it must be rebuilt")
    if not hits:
        return None
    address = [hits[0][1]]
    values = [searcher.fast_field_values(name, address)[0] for name in (WATERMARK, LSN, IDENTITY)]
    if not all(isinstance(value, int) for value in values):
        raise RebuildNeededError("the marker of the text index is not whole; it must be rebuilt")
    return Marker(*(int(value or 0) for value in values))


def count(searcher: tantivy.Searcher, query: tantivy.Query) -> int:
    """How many documents match."""
    result = searcher.search(query, 1, count=True)
    return int(getattr(result, "count"))  # noqa: B009 (the stubs do not know it)


__all__ = [
    "NUMBERS",
    "Marker",
    "add_rows",
    "checked_texts",
    "count",
    "delete_rows",
    "make_schema",
    "read_marker",
    "replace_marker",
]
