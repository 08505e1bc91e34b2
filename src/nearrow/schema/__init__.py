"""Schema: what is a collection made of, and which rows may enter it?

config    the settings of a collection
types     which Arrow types metadata may have, and how two of them meet
evolve    how the schema grows, and how a batch is brought to it
vectors   any spelling of vectors → FixedSizeList<float32|float16>[d], checked
sources   any kind of rows → Arrow batches
embedded  rows that bring a text get its vector; model_identity: which model made it
rows      the above together: `batches(...)`
"""

from nearrow.schema.config import (
    ID_COLUMN,
    VECTOR_COLUMN,
    CollectionConfig,
    TextSettings,
    nearest_name,
    validate_column_name,
    validate_name,
)
from nearrow.schema.embedded import Embed, embedded_column, vectors_of_texts
from nearrow.schema.evolve import base_schema, conform, evolve
from nearrow.schema.id_arguments import canonical_id_array
from nearrow.schema.identity import duplicate_positions, last_of_each
from nearrow.schema.model_identity import PROBES, ModelIdentity
from nearrow.schema.rows import Rows, batches, rows_or_keywords

__all__ = [
    "ID_COLUMN",
    "PROBES",
    "VECTOR_COLUMN",
    "CollectionConfig",
    "Embed",
    "ModelIdentity",
    "Rows",
    "TextSettings",
    "base_schema",
    "batches",
    "canonical_id_array",
    "conform",
    "duplicate_positions",
    "embedded_column",
    "evolve",
    "last_of_each",
    "nearest_name",
    "rows_or_keywords",
    "validate_column_name",
    "validate_name",
    "vectors_of_texts",
]
