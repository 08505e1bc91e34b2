"""Entry point: which command was asked for, and what does its failure tell the shell?

The table of exit codes, which `docs/guide/command-line.md` repeats:

    exit code  meaning
    0          done
    1          another error of Nearrow's, or damage found by a check
    2          wrong usage: an unknown option, an argument out of its domain, a bad filter, a conflicting column type
    3          no such collection, id, column or file
    4          it exists already
    5          locked by another writer, or opened for reading
    6          the files are damaged, or written by a newer Nearrow
    7          the disk failed
    8          a server refuses: no token, a wrong one, or a role that may not do it
    9          a server cannot be reached, or is busy
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from nearrow import errors
from nearrow.cli import analytics, benching, collections, demo, importing, searching, serving, upkeep
from nearrow.cli.output import error_console

EXIT_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (errors.InvalidArgumentError, 2),
    (errors.FilterError, 2),
    (errors.SchemaError, 2),
    (errors.NotFoundError, 3),
    (FileNotFoundError, 3),
    (errors.AlreadyExistsError, 4),
    (errors.LockedError, 5),
    (errors.ReadOnlyError, 5),
    (errors.CorruptionError, 6),
    (errors.IncompatibleFormatError, 6),
    (errors.StorageError, 7),
    (errors.AccessDeniedError, 8),
    (errors.UnavailableError, 9),
    (errors.NearrowError, 1),
)


class Commands(TyperGroup):
    """The commands. Nearrow's own errors become one line on stderr and an exit code, not a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (errors.NearrowError, FileNotFoundError) as error:
            error_console().print("[bold red]error:[/bold red]", str(error), markup=True)
            raise typer.Exit(exit_code(error)) from error


def exit_code(error: BaseException) -> int:
    """The exit code for `error`: the first row of the table that fits."""
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    help="Nearrow: an embedded, Arrow-native vector database.",
)


def show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"nearrow {version('nearrow')}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


app.command("demo")(demo.demo)
app.command("list")(collections.list_collections)
app.command("create")(collections.create)
app.command("import")(importing.import_rows)
app.command("search")(searching.search)
app.command("sql")(analytics.sql)
app.command("snapshot")(analytics.snapshot)
app.command("restore")(analytics.restore)
app.command("export")(analytics.export)
app.command("adopt")(analytics.adopt)
app.command("check")(upkeep.check)
app.command("repair")(upkeep.repair)
app.command("stats")(upkeep.stats)
app.command("compact")(upkeep.compact)
app.command("serve")(serving.serve)
app.command("bench")(benching.bench)
