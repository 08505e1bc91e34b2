"""Model texts: which rows of the model match a text query?

A naive matcher: the row's words, one by one. It knows the few queries below, which need no stemmer because no two of the
words that the model writes share a stem. Needs hypothesis.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from nearrow.collection import Collection
from nearrow.testing.model import Model

Words = list[str]
TERM_BYTES_MAX = 255
QUERIES: dict[str, Callable[[Words], bool]] = {
    "star": lambda words: "star" in words,
    "STAR break": lambda words: "star" in words or "break" in words,
    "+star +sea": lambda words: "star" in words and "sea" in words,
    "star -sea": lambda words: "star" in words and "sea" not in words,
    "the AND (cafe OR sea)": lambda words: "the" in words and ("cafe" in words or "sea" in words),
    '"star of the sea"': lambda words: _phrase(words, ["star", "of", "the", "sea"]),
    '"of star"': lambda words: _phrase(words, ["of", "star"]),
    "naïve": lambda words: "naive" in words,
    "st*": lambda words: any(word.startswith("st") for word in words),
    "stra~1": lambda words: "star" in words,
    "text:line": lambda words: "line" in words,
    "absent": lambda words: False,
    "-star": lambda words: "star" not in words,
    "*": lambda words: True,
}


class TextRules:
    """Rules for a machine whose collection has the text field `text`."""

    collection: Collection
    reader: Collection | None
    model: Model
    seen: Model
    text_fields: tuple[str, ...]

    @precondition(lambda self: self.text_fields)
    @rule(query=st.sampled_from(sorted(QUERIES)), k=st.integers(1, 200))
    def search_text(self, query: str, k: int) -> None:
        compare_text_search(self.model, self.collection, query, k)

    @precondition(lambda self: self.text_fields and self.reader is not None)
    @rule(query=st.sampled_from(sorted(QUERIES)))
    def reader_finds_texts_of_its_moment(self, query: str) -> None:
        assert self.reader is not None
        compare_text_search(self.seen, self.reader, query, 1000)


def compare_text_search(model: Model, collection: Collection, query: str, k: int) -> None:
    """AssertionError unless min(k, matching) rows come back, all of which match, best first."""
    expected = {name for name, row in model.rows.items() if QUERIES[query](words_of(row.get("text", "")))}
    hits = collection.search(text=query, k=k, columns=["id"])
    names = hits.ids.tolist()
    assert len(names) == len(set(names)) == min(k, len(expected)), f"{query}: {len(names)} of {len(expected)}, k={k}"
    assert set(names) <= expected, f"{query}: {sorted(set(names) - expected, key=str)} do not match"
    scores = hits.scores.tolist()
    assert scores == sorted(scores, reverse=True)


def words_of(text: str) -> Words:
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c))
    return [word for word in re.findall(r"\w+", plain) if len(word) <= TERM_BYTES_MAX]


def _phrase(words: Words, sought: Words) -> bool:
    return any(words[at : at + len(sought)] == sought for at in range(len(words)))


__all__ = ["QUERIES", "TextRules", "compare_text_search"]
