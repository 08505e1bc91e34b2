"""Fork: how does an open handle come whole into a forked child, and what is left behind?

A lock that another thread of the parent holds at that moment is never released in the child, a file lock would be held by
both, and threads that a library started are not there. So a thing that lives on in children is asked to hold still before
a fork, and makes anew in the child what relies on threads.
"""

from __future__ import annotations

import os
import weakref
from typing import Any, Protocol


class Forkable(Protocol):
    """Something that lives on in a forked child."""

    def _hold_still(self) -> None:
        """Before a fork, in the thread that forks: return when nothing is under way that a child could not end."""

    def _go_on(self) -> None:
        """After it, in the parent."""

    def _begin_in_child(self) -> None:
        """After it, in the child, before anything else runs there; opens nothing."""


_living: weakref.WeakSet[Any] = weakref.WeakSet()
_still: list[Any] = []
_left_behind: list[Any] = []


def lives_on(thing: Forkable) -> None:
    """From now on `thing` is told of each fork."""
    _living.add(thing)


def leave_behind(*things: Any) -> None:
    """Never destroy these here: their destructors wait for threads that only the parent has."""
    _left_behind.extend(things)


def _hold_still() -> None:
    _still.extend(_living)
    for thing in _still:
        thing._hold_still()


def _go_on() -> None:
    for thing in _still:
        thing._go_on()
    _still.clear()


def _begin_in_child() -> None:
    for thing in _still:
        thing._begin_in_child()
    _still.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold_still, after_in_parent=_go_on, after_in_child=_begin_in_child)
