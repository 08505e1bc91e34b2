"""Public API: which names and signatures do users rely on?

A change here is a change of the contract: make it on purpose, and say so in CHANGELOG.md.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import nearrow

NAMES = {
    "connect",
    "query_snapshot",
    "metrics",
    "Database",
    "Collection",
    "CollectionConfig",
    "RRF",
    "Weighted",
    "TextQuery",
    "TextSettings",
    "HnswIndex",
    "Hit",
    "Hits",
    "Report",
    "Repair",
    "Stats",
    "NearrowError",
    "InvalidArgumentError",
    "DimensionMismatchError",
    "EmbeddingError",
    "SchemaError",
    "FilterError",
    "NotFoundError",
    "AlreadyExistsError",
    "LimitExceededError",
    "LockedError",
    "ReadOnlyError",
    "ClosedError",
    "StorageError",
    "CorruptionError",
    "IncompatibleFormatError",
    "AccessDeniedError",
    "UnavailableError",
}

BUILT_INS = {  # error → the built-in that a user would catch
    "InvalidArgumentError": ValueError,
    "DimensionMismatchError": ValueError,
    "EmbeddingError": RuntimeError,
    "SchemaError": TypeError,
    "FilterError": ValueError,
    "NotFoundError": KeyError,
    "AlreadyExistsError": ValueError,
    "LimitExceededError": RuntimeError,
    "LockedError": BlockingIOError,
    "ReadOnlyError": PermissionError,
    "ClosedError": ValueError,
    "StorageError": OSError,
    "CorruptionError": OSError,
    "IncompatibleFormatError": OSError,
    "AccessDeniedError": PermissionError,
    "UnavailableError": ConnectionError,
}

SIGNATURES = {  # verb → its parameters and their defaults
    "connect": (
        "(path, *, read_only=False, memory_budget=None, token=None, deadline_seconds=60.0, ca_certificate=None, "
        "client_certificate=None, client_key=None)"
    ),
    "Database.create_collection": "(name, dimension=None, *, embedding=None, **settings)",
    "Database.get_or_create_collection": "(name, dimension=None, *, embedding=None, **settings)",
    "Database.collection": "(name, *, embedding=None)",
    "Database.collections": "()",
    "Database.drop_collection": "(name)",
    "Database.close": "()",
    "Collection.add": "(rows=None, *, ids=None, vectors=None, texts=None, metadata=None, progress=False)",
    "Collection.upsert": "(rows=None, *, ids=None, vectors=None, texts=None, metadata=None, progress=False)",
    "Collection.transaction": "()",
    "Collection.get": "(ids, columns=None)",
    "Collection.count": "(where=None)",
    "Collection.scan": "(where=None, columns=None, batch_rows=65536)",
    "Collection.to_arrow": "()",
    "Collection.to_pandas": "()",
    "Collection.to_polars": "()",
    "Collection.sql": "(query, parameters=None, *, hits=None, format='arrow')",
    "Database.sql": "(query, parameters=None, *, hits=None, format='arrow')",
    "Collection.snapshot": "(path, *, compression='snappy', row_group_rows=32768, data_page_bytes=1048576, "
    "byte_stream_split=True, filesystem=None, every=None, keep=None)",
    "Database.adopt": "(source, name, *, table=None, id_column='id', vector_column=None, progress=False, **settings)",
    "Collection.export": "(path, *, where=None, columns=None, progress=False)",
    "Database.restore": "(path, name=None, *, filesystem=None)",
    "query_snapshot": "(path, sql, parameters=None, *, format='arrow', filesystem=None)",
    "Collection.aadd": "(rows=None, *, ids=None, vectors=None, texts=None, metadata=None, progress=False)",
    "Collection.aupsert": "(rows=None, *, ids=None, vectors=None, texts=None, metadata=None, progress=False)",
    "Collection.aget": "(ids, columns=None)",
    "Collection.acount": "(where=None)",
    "Collection.embed": "(texts)",
    "Collection.reembed": "(embedding, *, progress=False)",
    "Collection.flush": "()",
    "Collection.compact": "(progress=False)",
    "Collection.wait": "(progress=False)",
    "Collection.refresh": "()",
    "Collection.check": "()",
    "Collection.repair": "()",
    "Collection.stats": "()",
    "Database.check_collection": "(name)",
    "Database.repair_collection": "(name)",
    "Hits.to_arrow": "()",
    "Hits.to_pandas": "()",
    "Hits.to_polars": "()",
    "Hits.to_list": "()",
    "HnswIndex.add": "(vectors, *, threads=None)",
    "HnswIndex.remove": "(ids)",
    "HnswIndex.save": "(path)",
    "HnswIndex.stats": "()",
    "CollectionConfig.to_json": "()",
    "CollectionConfig.from_json": "(text)",
}

TAKES = {  # verb that may gain parameters → those that it must take, with their defaults
    "Collection.search": {
        "vector": None,
        "text": None,
        "k": 10,
        "where": None,
        "negatives": None,
        "negative_weight": 0.5,
        "fusion": "rrf",
        "ef_search": None,
        "target_recall": 0.95,
        "exact": False,
        "within": None,
        "columns": None,
        "facets": None,
        "group_by": None,
        "explain": False,
        "query": None,
    },
    "Collection.update": {"rows": None, "ids": None, "vectors": None, "texts": None, "metadata": None},
    "Collection.delete": {"ids": None, "where": None},
    "Collection.recall": {"k": 10, "sample": 200, "where": None},
    "Collection.facets": {"where": None},
    "HnswIndex.build": {"metric": "cosine", "m": 16, "ml": None, "threads": None, "seed": 0, "progress": False},
    "HnswIndex.search": {"k": 10, "ef_search": None, "accept": None, "threads": 1},
}

PROPERTIES = (
    "Collection.config",
    "Collection.name",
    "Collection.schema",
    "Hit.distance",
    "Hit.id",
    "Hit.score",
    "Hits.ids",
    "HnswIndex.dimension",
    "HnswIndex.nbytes",
)


def parameters(function: Callable[..., Any]) -> str:
    """The signature of `function` without annotations and self."""
    found = inspect.signature(function)
    kept = [p.replace(annotation=p.empty) for name, p in found.parameters.items() if name not in ("self", "cls")]
    return str(found.replace(parameters=kept, return_annotation=inspect.Signature.empty))


def lookup(name: str) -> Any:
    found: Any = nearrow
    for part in name.split("."):
        found = getattr(found, part)
    return found


def test_all_lists_the_public_names_and_nothing_else() -> None:
    assert set(nearrow.__all__) == NAMES
    assert len(nearrow.__all__) == len(NAMES)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_public_name_is_documented(name: str) -> None:
    assert inspect.getdoc(getattr(nearrow, name))


@pytest.mark.parametrize("name", sorted(BUILT_INS))
def test_error_is_also_the_built_in_that_a_user_would_catch(name: str) -> None:
    assert issubclass(getattr(nearrow, name), (nearrow.NearrowError,))
    assert issubclass(getattr(nearrow, name), BUILT_INS[name])


@pytest.mark.parametrize("name", sorted(SIGNATURES))
def test_signature_is_what_was_promised(name: str) -> None:
    assert parameters(lookup(name)) == SIGNATURES[name]


@pytest.mark.parametrize("name", sorted(TAKES))
def test_verb_takes_what_was_promised(name: str) -> None:
    found = inspect.signature(lookup(name)).parameters
    assert {key: found[key].default for key in TAKES[name]} == TAKES[name]


@pytest.mark.parametrize("name", PROPERTIES)
def test_property_is_there(name: str) -> None:
    assert not callable(lookup(name))
