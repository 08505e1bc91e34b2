"""Patterns: which strings does a $contains, $startsWith, $endsWith, $like or $regex match?

A fixed text is looked for by the kernel; so is what a $like pattern with `%` at its ends alone comes to. Everything else
is Arrow's: RE2 for regular expressions.
"""

from __future__ import annotations

from functools import lru_cache

import pyarrow as pa

from nearrow import compute as pc
from nearrow.index.strings import Place, StringPattern, Strings, StringSet
from nearrow.query.filter.bits import Bits, of_arrow

_PLACES: dict[str, Place] = {"contains": "anywhere", "startsWith": "begin", "endsWith": "end"}
_FUNCTIONS = {"like": "match_like", "regex": "match_substring_regex"}


def matching_rows(array: pa.Array, kind: str, text: str) -> Bits:
    """The rows of a string array that match, false where it is null; ArrowInvalid for a bad regular expression.

    REQUIRES: the pattern is not fixed().
    """
    return of_arrow(getattr(pc, _FUNCTIONS[kind])(array, text))


@lru_cache(maxsize=256)
def fixed(kind: str, text: str) -> Strings | None:
    """What looks for the text itself, if that is all that the pattern says."""
    if kind == "like":
        inner = text.strip("%")
        if any(sign in inner for sign in "%_\\"):
            return None
        begins, ends = text.startswith("%"), text.endswith("%")
        if not begins and not ends:
            return StringSet(pa.array([text], pa.string()))
        return StringPattern(inner, "anywhere" if begins and ends else "end" if begins else "begin")
    place = _PLACES.get(kind)
    return None if place is None else StringPattern(text, place)
