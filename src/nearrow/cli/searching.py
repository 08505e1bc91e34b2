"""Search: how does one ask a collection from the shell?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

import nearrow
from nearrow.cli.arguments import LibraryArgument, NameArgument
from nearrow.cli.output import JsonOption, print_json, print_rows
from nearrow.errors import FilterError, InvalidArgumentError, NotFoundError


def search(
    library: LibraryArgument,
    name: NameArgument,
    like: Annotated[str | None, typer.Option(help="The id of a row: find what is near it, without itself.")] = None,
    vector: Annotated[str | None, typer.Option(help="A JSON list of numbers, or @file.npy.")] = None,
    text: Annotated[str | None, typer.Option(help="Words to find in the text fields; with a vector: hybrid.")] = None,
    where: Annotated[str | None, typer.Option(help="A filter: SQL, or JSON in the dict spelling.")] = None,
    k: Annotated[int, typer.Option("-k", help="How many hits.")] = 10,
    column: Annotated[list[str] | None, typer.Option("--column", help="A column to show; may be repeated.")] = None,
    ef_search: Annotated[int | None, typer.Option(help="The beam; larger is slower and finds more.")] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Compare with every row.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Find the rows nearest to a vector, or to a row that is there already; or by text; or by both.

    [dim]nearrow search ./library docs --like n09819291 -k 5 --where "lexname = 'noun.person'"[/dim]
    """
    if like is not None and vector is not None:
        raise InvalidArgumentError("give --like ID or --vector, not both")
    if like is None and vector is None and text is None:
        raise InvalidArgumentError("give --like ID, --vector or --text, to say what to look for")
    with nearrow.connect(library, read_only=True) as db:
        collection = db.collection(name)
        query = row_vector(collection, like) if like is not None else parse_vector(vector) if vector else None
        hits = collection.search(
            query,
            text=text,
            k=k + (like is not None),
            where=parse_filter(where),
            columns=column or None,
            ef_search=ef_search,
            exact=exact,
        ).to_list()
    rows = [hit for hit in hits if like is None or str(hit["id"]) != like][:k]
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, empty="no rows")


def row_vector(collection: Any, like: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The vector of the row whose id is `like`; tried as text first, then as an integer."""
    candidates: list[Any] = [like, int(like)] if like.lstrip("-").isdigit() else [like]
    for candidate in candidates:
        try:
            rows = collection.get([candidate], columns=["vector"])
        except (nearrow.InvalidArgumentError, nearrow.SchemaError):
            continue
        if len(rows):
            return np.asarray(rows["vector"][0].values.to_numpy(zero_copy_only=False), dtype=np.float32)
    raise NotFoundError(f"no row has the id {like!r}; ids are case-sensitive")


def parse_filter(where: str | None) -> Any:
    """A filter as the API takes it: a dict if it is a JSON object, else SQL."""
    if where is None or not where.lstrip().startswith("{"):
        return where
    try:
        return json.loads(where)
    except ValueError as error:
        raise FilterError(f"--where looks like JSON but is not: {error}") from error


def parse_vector(text: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A vector from a JSON list, or from a .npy file named after an @."""
    if text.startswith("@"):
        path = Path(text[1:])
        if not path.exists():
            raise NotFoundError(f"no such file: {path}")
        return np.asarray(np.load(path, allow_pickle=False), dtype=np.float32).ravel()
    try:
        return np.asarray(json.loads(text), dtype=np.float32)
    except ValueError as error:
        raise InvalidArgumentError(f"--vector must be a JSON list of numbers or @file.npy: {error}") from error
