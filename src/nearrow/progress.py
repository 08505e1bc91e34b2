"""Progress: how does long work show itself?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

Advance = Callable[[int], None]


_SILENT: AbstractContextManager[Advance] = nullcontext(lambda rows: None)


def bar(text: str, total: int | None, show: bool) -> AbstractContextManager[Advance]:
    """A function to call with the number of rows done since its last call; draws a bar on standard error if `show`."""
    return _bar(text, total) if show else _SILENT


@contextmanager
def _bar(text: str, total: int | None) -> Iterator[Advance]:
    with _drawn(text, total) as (progress, task):
        yield lambda rows: progress.advance(task, rows)


@contextmanager
def steps(text: str, show: bool) -> Iterator[Callable[[int, int], None]]:
    """Like `bar`, for work that reports (done, total)."""
    if not show:
        yield lambda done, total: None
        return
    with _drawn(text, None) as (progress, task):
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def _drawn(text: str, total: int | None) -> Iterator[tuple[Any, Any]]:
    from rich.console import Console  # here, as most work shows nothing
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield progress, progress.add_task(text, total=total)
