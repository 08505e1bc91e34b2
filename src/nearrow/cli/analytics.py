"""Analytics: how does one ask SQL, take a snapshot, and bring one back, from the shell?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

import nearrow
from nearrow.cli.arguments import LibraryArgument, NameArgument
from nearrow.cli.output import JsonOption, byte_count, print_facts, print_json, print_rows
from nearrow.errors import InvalidArgumentError

QueryArgument = Annotated[str, typer.Argument(metavar="QUERY", help="SQL; collections are tables of their names.")]
SnapshotArgument = Annotated[str, typer.Argument(metavar="SNAPSHOT", help="The snapshot's directory.")]


def sql(
    library: LibraryArgument,
    query: QueryArgument,
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", help="name=value for $name; value as JSON, or text.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask SQL (DuckDB's) over the live rows of every collection that the query names.

    [dim]nearrow sql ./library "SELECT lexname, count(*) FROM words WHERE pos = $pos GROUP BY 1" -p pos=n[/dim]
    """
    parameters = parse_parameters(parameter or [])
    with nearrow.connect(library, read_only=True) as db:
        rows = json.loads(db.sql(query, parameters or None, format="json"))
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, empty="no rows")


def snapshot(
    library: LibraryArgument,
    name: NameArgument,
    destination: SnapshotArgument,
    compression: Annotated[str, typer.Option(help="snappy, zstd, lz4, gzip or none.")] = "snappy",
    keep: Annotated[
        int | None, typer.Option(help="The destination is a series: add one, then remove all but so many.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Copy a collection, as it is now, into a directory of Parquet files, or a URL as s3://…; a writer need not stop.

    [dim]nearrow snapshot ./library words ./backup --compression zstd[/dim]
    """
    with nearrow.connect(library, read_only=True) as db:
        taken = db.collection(name).snapshot(destination, compression=compression, keep=keep)
    size_bytes = sum(file.length for file in taken.files.values())
    if as_json:
        print_json({"snapshot": destination, "collection": name, "rows": taken.rows, "bytes": size_bytes})
    else:
        print_facts({"snapshot": destination, "rows": taken.rows, "size": byte_count(size_bytes)})


def restore(
    library: LibraryArgument,
    source: SnapshotArgument,
    name: Annotated[str | None, typer.Option(help="The new collection's name, if not the one that it had.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a collection of a snapshot, after checking that every file is what was written.

    [dim]nearrow restore ./library ./backup --name words2[/dim]
    """
    with nearrow.connect(library) as db:
        restored = db.restore(source, name)
        facts = {"collection": restored.name, "rows": len(restored)}
    if as_json:
        print_json(facts)
    else:
        print_facts(facts)


def export(
    library: LibraryArgument,
    name: NameArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help=".parquet, .arrow, .csv, .jsonl, .npz or .npy")],
    where: Annotated[str | None, typer.Option(help="Only rows that match: an SQL expression.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the rows of a collection to a new file.

    [dim]nearrow export ./library words nouns.parquet --where "pos = 'noun'"[/dim]
    """
    with nearrow.connect(library, read_only=True) as db:
        rows = db.collection(name).export(file, where=where, progress=not as_json)
    facts = {"file": str(file), "collection": name, "rows": rows}
    if as_json:
        print_json(facts)
    else:
        print_facts(facts)


def adopt(
    library: LibraryArgument,
    name: NameArgument,
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A file, a folder of files, or a directory of LanceDB or Chroma.")
    ],
    table: Annotated[str | None, typer.Option(help="Which table or collection, if the directory has several.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a collection of rows that lie elsewhere; ids, vectors and texts are found by themselves.

    [dim]nearrow adopt ./library docs ./lancedb --table docs[/dim]
    """
    with nearrow.connect(library) as db:
        adopted = db.adopt(source, name, table=table, progress=not as_json)
        facts = {"collection": name, "rows": len(adopted), "dimension": adopted.config.dimension}
        adopted.wait()
    if as_json:
        print_json(facts)
    else:
        print_facts(facts)


def parse_parameters(given: list[str]) -> dict[str, Any]:
    """ "year=1999" → {"year": 1999}; what is not JSON is text."""
    found: dict[str, Any] = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not name or not equals:
            raise InvalidArgumentError(f"--parameter is name=value, not {item!r}")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found
