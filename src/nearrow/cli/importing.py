"""Import: how do rows in a file get into a collection?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

import nearrow
from nearrow.analytics.exchange.files import open_rows, vector_dimension
from nearrow.cli.arguments import (
    DtypeOption,
    DurabilityOption,
    LibraryArgument,
    MetricOption,
    NameArgument,
    TextFieldOption,
)
from nearrow.cli.output import JsonOption, console, print_json
from nearrow.errors import NotFoundError


def import_rows(
    library: LibraryArgument,
    name: NameArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .parquet, .arrow, .jsonl or .csv file.")],
    id_column: Annotated[str, typer.Option(help="The file's column of ids.")] = "id",
    vector_column: Annotated[str, typer.Option(help="The file's column of vectors.")] = "vector",
    only_new: Annotated[bool, typer.Option("--only-new", help="Refuse ids that exist.")] = False,
    make: Annotated[bool, typer.Option("--create", help="Create the collection if there is none.")] = False,
    metric: MetricOption = "cosine",
    text_field: TextFieldOption = None,
    durability: DurabilityOption = "full",
    dtype: DtypeOption = "float32",
    as_json: JsonOption = False,
) -> None:
    """Add the rows of a file to a collection, all of them or, if one is refused, none.

    [dim]nearrow import ./library docs rows.parquet --create --text-field text[/dim]
    """
    rows = open_rows(file, {id_column: "id", vector_column: "vector"})
    with nearrow.connect(library) as db:
        if name not in db.collections():
            if not make:
                raise NotFoundError(
                    f"no collection {name!r} in {library}; add --create, or run: nearrow create {library} {name} …"
                )
            db.create_collection(
                name,
                dimension=vector_dimension(rows, file),
                metric=metric,
                text_fields=text_field or [],
                durability=durability,
                dtype=dtype,
            )
        collection = db.collection(name)
        before = len(collection)
        started = time.perf_counter()
        (collection.add if only_new else collection.upsert)(rows, progress=not as_json)
        collection.wait()
        seconds = time.perf_counter() - started
        after = len(collection)
    facts = {"collection": name, "rows": after, "new_rows": after - before, "seconds": round(seconds, 3)}
    if as_json:
        print_json(facts)
    else:
        console().print(f"{after - before:,} new rows in [bold]{name}[/bold], {after:,} in all, {seconds:.1f} s")
