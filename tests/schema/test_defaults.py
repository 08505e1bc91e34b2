"""Defaults: do collections build their graphs as the bare index does?"""

from __future__ import annotations

from nearrow.index.graph import EF_CONSTRUCTION
from nearrow.schema import CollectionConfig


def test_collections_and_the_bare_index_build_with_the_same_beam() -> None:
    assert CollectionConfig("docs", 4).ef_construction == EF_CONSTRUCTION
