"""Collections: which are there, and how does one make another?"""

from __future__ import annotations

from typing import Annotated

import typer

import nearrow
from nearrow.cli.arguments import (
    DtypeOption,
    DurabilityOption,
    LibraryArgument,
    MetricOption,
    NameArgument,
    TextFieldOption,
)
from nearrow.cli.output import JsonOption, console, print_json, print_rows
from nearrow.schema.config import EF_CONSTRUCTION


def create(
    library: LibraryArgument,
    name: NameArgument,
    dimension: Annotated[int, typer.Option(help="How many numbers a vector has.")],
    metric: MetricOption = "cosine",
    text_field: TextFieldOption = None,
    m: Annotated[int, typer.Option(help="HNSW: links per row.")] = 16,
    ef_construction: Annotated[int, typer.Option(help="HNSW: beam while building.")] = EF_CONSTRUCTION,
    durability: DurabilityOption = "full",
    dtype: DtypeOption = "float32",
    as_json: JsonOption = False,
) -> None:
    """Create an empty collection (and its database, if the directory is new).

    [dim]nearrow create ./library docs --dimension 384 --text-field text[/dim]
    """
    with nearrow.connect(library) as db:
        collection = db.create_collection(
            name,
            dimension=dimension,
            metric=metric,
            text_fields=text_field or [],
            m=m,
            ef_construction=ef_construction,
            durability=durability,
            dtype=dtype,
        )
        config = collection.config.to_json()
    if as_json:
        typer.echo(config)
    else:
        console().print(f"created [bold]{name}[/bold] in {library}: {dimension} dimensions, {metric}, {dtype}")


def list_collections(library: LibraryArgument, as_json: JsonOption = False) -> None:
    """List the collections of a database, with their row counts.

    [dim]nearrow list ./library[/dim]
    """
    rows = []
    with nearrow.connect(library, read_only=True) as db:
        for name in db.collections():
            collection = db.collection(name)
            config = collection.config
            rows.append(
                {"collection": name, "rows": len(collection), "dimension": config.dimension, "metric": config.metric}
            )
    if as_json:
        print_json(rows)
    else:
        print_rows(
            rows, empty=f"no collections in {library}; make one with: nearrow create {library} NAME --dimension N"
        )
