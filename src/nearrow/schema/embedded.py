"""Embedded: how do rows that bring a text, but no vector, get one?

The collection's embedding function is called with the texts of one column, batch by batch, while the rows stream
through. Rows that bring a vector are left as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearrow.errors import InvalidArgumentError, SchemaError
from nearrow.schema.config import VECTOR_COLUMN, CollectionConfig
from nearrow.schema.sources import Piece, Source
from nearrow.schema.types import is_string
from nearrow.schema.vectors import vector_type

Embed = Callable[[list[str]], npt.NDArray[np.float32]]
PLAIN_TEXT_COLUMN = "text"


def embedded_column(config: CollectionConfig) -> str:
    """The column whose texts the vectors are made of: the first text field; without one, "text"."""
    return config.text_fields[0] if config.text_fields else PLAIN_TEXT_COLUMN


def with_vectors(source: Source, config: CollectionConfig, embed: Embed, *, partial: bool) -> Source:
    """`source` with a vector in every row that lacks one; of a partial update only where the text is given."""
    column = embedded_column(config)
    missing = [schema for schema in source.schemas if VECTOR_COLUMN not in schema.names]
    wanting = [schema for schema in missing if column in schema.names]
    if missing and not partial and not wanting:
        raise InvalidArgumentError(f"the rows have neither a 'vector' nor a text in {column!r} to make one of")
    if not wanting:
        return source
    field = pa.field(VECTOR_COLUMN, vector_type(config))
    schemas = tuple(schema.append(field) if schema in wanting else schema for schema in source.schemas)
    return replace(source, schemas=schemas, pieces=_filled(source.pieces, column, config, embed))


def _filled(pieces: Iterable[Piece], column: str, config: CollectionConfig, embed: Embed) -> Iterator[Piece]:
    for batch, rows in pieces:
        if VECTOR_COLUMN in batch.schema.names or column not in batch.schema.names:
            yield batch, rows
            continue
        vectors = vectors_of_texts(batch.column(column), column, config, embed, rows)
        yield batch.append_column(pa.field(VECTOR_COLUMN, vectors.type), vectors), rows


def vectors_of_texts(
    texts: pa.Array, column: str, config: CollectionConfig, embed: Embed, rows: Sequence[int]
) -> pa.Array:
    """The vectors of a column of texts; `rows` are the caller's row numbers, for errors."""
    if pa.types.is_dictionary(texts.type):
        texts = texts.dictionary_decode()
    if not is_string(texts.type) and not pa.types.is_null(texts.type):
        raise SchemaError(f"column {column!r} is embedded, so it holds strings, but the rows bring {texts.type}")
    if texts.null_count:
        first = int(np.flatnonzero(texts.is_null().to_numpy(zero_copy_only=False))[0])
        raise InvalidArgumentError(
            f"row {rows[first]}: {column!r} is null, so there is nothing to embed; give a text or a vector"
        )
    matrix = embed(texts.to_pylist())
    if matrix.shape[1] != config.dimension:
        raise InvalidArgumentError(
            f"the embedding function gave {matrix.shape[1]} dimensions, collection {config.name!r} has {config.dimension}"
        )
    if config.dtype == "float16":
        matrix = matrix.astype(np.float16)
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(matrix).ravel()), config.dimension)
