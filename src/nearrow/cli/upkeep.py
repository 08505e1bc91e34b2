"""Upkeep: is a collection sound, how is it repaired, and how big is it?"""

from __future__ import annotations

import typer

import nearrow
from nearrow.cli.arguments import LibraryArgument, NameArgument
from nearrow.cli.output import JsonOption, byte_count, print_facts, print_json


def check(library: LibraryArgument, name: NameArgument, as_json: JsonOption = False) -> None:
    """Read every byte of a collection and say what is wrong; exit code 1 if anything is.

    [dim]nearrow check ./library docs[/dim]
    """
    with nearrow.connect(library, read_only=True) as db:
        report = db.check_collection(name)
    if as_json:
        print_json(report.to_dict())
    else:
        typer.echo(str(report))
    if not report.ok:
        raise typer.Exit(1)


def repair(library: LibraryArgument, name: NameArgument, as_json: JsonOption = False) -> None:
    """Rebuild what is derived, save the rows that can be read, say what is lost; what is damaged goes to quarantine/.

    [dim]nearrow repair ./library docs[/dim]
    """
    with nearrow.connect(library) as db:
        done = db.repair_collection(name)
    if as_json:
        print_json(done.to_dict())
    else:
        typer.echo(str(done))


def compact(library: LibraryArgument, name: NameArgument, as_json: JsonOption = False) -> None:
    """Merge everything into one segment without dead rows, and build its graph; stops nobody.

    [dim]nearrow compact ./library docs[/dim]
    """
    with nearrow.connect(library) as db:
        collection = db.collection(name)
        collection.compact(progress=not as_json)
        found = collection.stats()
    facts = {"collection": name, "rows": found.live, "segments": len(found.segments), "bytes": found.disk_bytes_total}
    if as_json:
        print_json(facts)
    else:
        print_facts({**facts, "bytes": byte_count(found.disk_bytes_total)})


def stats(library: LibraryArgument, name: NameArgument, as_json: JsonOption = False) -> None:
    """Count rows, segments and bytes.

    [dim]nearrow stats ./library docs[/dim]
    """
    with nearrow.connect(library, read_only=True) as db:
        found = db.collection(name).stats()
    if as_json:
        print_json(found.to_dict())
        return
    facts = {key: getattr(found, key) for key in ("live", "dead", "memtable_rows", "dimension", "metric", "m")}
    sizes = {f"bytes: {kind}": byte_count(size) for kind, size in sorted(found.disk_bytes.items())}
    print_facts({**facts, "segments": len(found.segments), **sizes})
