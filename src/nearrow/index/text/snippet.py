"""Snippet: which part of a text shows best why it matches?"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nearrow.errors import InvalidArgumentError
from nearrow.index.text.analysis import Analyzer, Term
from nearrow.index.text.compile import Sought


@dataclass(frozen=True)
class Snippet:
    """A fragment of a text; `highlights` are the (start, end) characters in it that the query looked for.

    `start` is where the fragment begins in the text. `str()` gives the fragment.
    """

    fragment: str
    highlights: tuple[tuple[int, int], ...]
    start: int

    def __str__(self) -> str:
        return self.fragment

    def marked(self, before: str = "**", after: str = "**") -> str:
        """The fragment with every highlight put between two strings."""
        return self._marked(before, after, str)

    def to_html(self, tag: str = "b") -> str:
        """The fragment as HTML: escaped, with every highlight inside `tag`."""
        return self._marked(f"<{tag}>", f"</{tag}>", html.escape)

    def _marked(self, before: str, after: str, write: Callable[[str], str]) -> str:
        pieces: list[str] = []
        last = 0
        for start, end in self.highlights:
            pieces += [write(self.fragment[last:start]), before, write(self.fragment[start:end]), after]
            last = end
        return "".join([*pieces, write(self.fragment[last:])])


def make_snippet(text: str, sought: Sequence[Sought], analyzer: Analyzer, characters: int) -> Snippet:
    """The first window of at most `characters` with the most different terms sought; else the beginning."""
    if characters < 1:
        raise InvalidArgumentError(f"a snippet needs at least 1 character, not {characters}")
    places = _places(text, sought, analyzer)
    start, end = _window(text, places, characters)
    inside = [(a - start, b - start) for a, b, _ in places if a >= start and b <= end]
    return Snippet(text[start:end], tuple(_joined(inside)), start)


def _places(text: str, sought: Sequence[Sought], analyzer: Analyzer) -> list[tuple[int, int, str]]:
    """(start, end, what was sought) of every term of the text that matches."""
    whole = {item.text for item in sought if not item.edits and not item.prefix}
    loose = [item for item in sought if item.edits or item.prefix]
    found: list[tuple[int, int, str]] = []
    for term in analyzer.terms(text):
        if term.text in whole:
            found.append((term.start, term.end, term.text))
        elif match := next((item for item in loose if matches(item, term)), None):
            found.append((term.start, term.end, match.text))
    return found


def matches(sought: Sought, term: Term) -> bool:
    """Whether a term is what a fuzzy or prefix word looks for."""
    if not sought.prefix:
        return edit_distance(sought.text, term.text) <= sought.edits
    if not sought.edits:
        return term.text.startswith(sought.text)
    lengths = range(max(0, len(sought.text) - sought.edits), len(sought.text) + sought.edits + 1)
    return any(edit_distance(sought.text, term.text[:length]) <= sought.edits for length in lengths)


def edit_distance(left: str, right: str) -> int:
    """Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours."""
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        earlier, before, row = before, row, [i]
        for j, b in enumerate(right, 1):
            best = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                best = min(best, earlier[j - 2] + 1)
            row.append(best)
    return row[-1]


def _window(text: str, places: Sequence[tuple[int, int, str]], characters: int) -> tuple[int, int]:
    if len(text) <= characters:
        return 0, len(text)
    best, best_start = 0, 0
    for index, (start, _, _) in enumerate(places):
        terms = {what for _, b, what in places[index : index + characters] if b <= start + characters}
        if len(terms) > best:
            best, best_start = len(terms), start
    if best:  # some words before the first highlight, as far as what was found keeps its place
        last = max((b for a, b, _ in places if a >= best_start and b <= best_start + characters), default=best_start)
        spare = min(characters // 4, max(0, characters - (last - best_start)))
        best_start = _word_start(text, max(0, min(best_start - spare, len(text) - characters)), best_start)
    return best_start, _word_end(text, best_start, min(len(text), best_start + characters), places)


def _word_start(text: str, start: int, limit: int) -> int:
    """The first beginning of a word from `start` on, at most `limit`."""
    if start == 0 or text[start - 1].isspace():
        return start
    space = next((at for at in range(start, limit) if text[at].isspace()), None)
    return limit if space is None else space + 1


def _word_end(text: str, start: int, end: int, places: Sequence[tuple[int, int, str]]) -> int:
    """The last end of a word up to `end` that cuts off no highlight."""
    if end == len(text) or text[end].isspace():
        return end
    floor = max((b for _, b, _ in places if b <= end), default=start)
    space = next((at for at in range(end - 1, max(floor, start + 1) - 1, -1) if text[at].isspace()), None)
    return end if space is None else space


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans that touch become one: 東京 is one highlight of two characters."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


__all__ = ["Snippet", "edit_distance", "make_snippet"]
