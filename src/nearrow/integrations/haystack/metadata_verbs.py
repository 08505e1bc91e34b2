"""Metadata verbs: which keys and values does the metadata of a Haystack store have?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from nearrow.awaitable import awaited_read
from nearrow.collection import Collection
from nearrow.integrations.documents import DocumentRows
from nearrow.integrations.haystack.filters import metadata_key, where_of

SCALARS = ("bool", "int", "float", "string")
TYPE_NAMES = {"string": "keyword", "int": "long", "bool": "boolean", "time": "date"}


class MetadataVerbs:
    """The part of `NearrowDocumentStore` that looks at metadata columns."""

    if TYPE_CHECKING:
        collection: Collection
        _rows: DocumentRows

    def get_metadata_fields_info(self) -> dict[str, dict[str, str]]:
        """Key → {"type": …}, the type of its values as far as it is known."""
        kinds = self._rows.columns.keys(self.collection.schema)
        return {key: {"type": TYPE_NAMES.get(found[0], found[0])} for key, found in kinds.items()}

    def get_metadata_field_min_max(self, metadata_field: str) -> dict[str, Any]:
        """{"min": …, "max": …} of a key's numbers, or, if it has none, of its texts."""
        for kinds in (("int", "float"), ("string",)):
            values = [value for column in self._values(metadata_field, None, kinds) for value in _extremes(column)]
            if values:
                return {"min": min(values), "max": max(values)}
        return {"min": None, "max": None}

    def get_metadata_field_unique_values(
        self,
        metadata_field: str,
        search_term: str | None = None,
        from_: int = 0,
        size: int | None = 10,
        filters: dict[str, Any] | None = None,
    ) -> tuple[list[Any], int]:
        """One page of a key's distinct values, in order, and how many there are; 1, 1.0, "1" and True are four.

        search_term: only values whose text contains it, in any case.
        """
        distinct: list[Any] = []
        for column in self._values(metadata_field, filters, SCALARS):
            distinct += sorted(pc.unique(column.drop_null()).to_pylist())
        if search_term is not None:
            distinct = [value for value in distinct if search_term.lower() in str(value).lower()]
        end = None if size is None else from_ + size
        return distinct[from_:end], len(distinct)

    def count_unique_metadata_by_filter(self, filters: dict[str, Any], metadata_fields: list[str]) -> dict[str, int]:
        """Key → how many distinct values it has in the documents that match."""
        return {
            metadata_key(field): self.get_metadata_field_unique_values(field, None, 0, None, filters)[1]
            for field in metadata_fields
        }

    def _values(self, field: str, filters: dict[str, Any] | None, kinds: tuple[str, ...]) -> list[pa.ChunkedArray]:
        """The columns of a key, one for each kind that it has had, in the documents that match."""
        names = self._rows.columns.columns_of(metadata_key(field), self.collection.schema, kinds)
        if not names:
            return []
        where = where_of(filters, self._rows.conditions())
        table = self.collection.scan(where, names).read_all()
        return [table.column(name) for name in names]

    get_metadata_fields_info_async = awaited_read(get_metadata_fields_info)
    get_metadata_field_min_max_async = awaited_read(get_metadata_field_min_max)
    get_metadata_field_unique_values_async = awaited_read(get_metadata_field_unique_values)
    count_unique_metadata_by_filter_async = awaited_read(count_unique_metadata_by_filter)


def _extremes(column: pa.ChunkedArray) -> list[Any]:
    found = pc.min_max(column).as_py()
    return [] if found["min"] is None else [found["min"], found["max"]]
