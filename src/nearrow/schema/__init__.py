"""Schema: what is a collection made of, and which rows may enter it?"""

from nearrow.schema.config import (
    ID_COLUMN,
    VECTOR_COLUMN,
    CollectionConfig,
    TextSettings,
    nearest_name,
    validate_column_name,
    validate_name,
)

__all__ = [
    "ID_COLUMN",
    "VECTOR_COLUMN",
    "CollectionConfig",
    "TextSettings",
    "nearest_name",
    "validate_column_name",
    "validate_name",
]
