"""Output: how does a command speak to people, and how to programs?

People get rich tables on stdout; programs pass `--json` and get one JSON document on stdout. Errors and progress go
to stderr, so that a pipe never sees them.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH_MAX_COLUMNS = 120

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]


def console() -> Console:
    """A console on stdout: as wide as the terminal up to 120 columns, and 100 when stdout is a pipe or a file."""
    found = Console(highlight=False)
    return Console(highlight=False, width=min(found.width, WIDTH_MAX_COLUMNS) if found.is_terminal else 100)


def error_console() -> Console:
    """A console on stderr, for errors and progress."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def plain(value: Any) -> Any:
    """`value` as something that JSON can hold."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def print_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    typer.echo(json.dumps(document, default=plain, ensure_ascii=False, indent=2))


def row_table(columns: Sequence[str], *, title: str | None = None) -> Table:
    """An empty table in the house style."""
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold cyan", expand=False
    )
    for name in columns:
        table.add_column(name, overflow="ellipsis", no_wrap=True)
    return table


def print_rows(rows: Sequence[Mapping[str, Any]], *, empty: str) -> None:
    """Print `rows` as a table whose columns are the keys of the first row, or `empty` if there are none."""
    if not rows:
        console().print(empty)
        return
    table = row_table(list(rows[0]))
    for row in rows:
        table.add_row(*(cell(value) for value in row.values()))
    console().print(table)


def print_facts(facts: Mapping[str, Any]) -> None:
    """Print name and value pairs, one per line."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, cell(value))
    console().print(table)


def cell(value: Any) -> Text:
    """`value` as people read it: four decimals for a float, thousands separated, lists joined."""
    if value is None:
        return Text("–", style="dim")
    if isinstance(value, float | np.floating):
        return Text(f"{value:.4f}")
    if isinstance(value, bool | str):
        return Text(str(value))
    if isinstance(value, int | np.integer):
        return Text(f"{value:,}")
    if isinstance(value, list | tuple):
        return Text(", ".join(str(item) for item in value))
    if isinstance(value, Mapping):
        return Text(", ".join(f"{key}={item}" for key, item in value.items()))
    return Text(str(plain(value)))


def byte_count(size_bytes: int) -> str:
    """`size_bytes` in the unit that people would say: 15.4 MB."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
