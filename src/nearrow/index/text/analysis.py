"""Analysis: which terms does a text hold, and where?

Text goes through Tantivy's own analyzer, at indexing and at querying alike. One step comes before it: scripts that are
written without spaces (Chinese, Japanese, Thai, …, and Korean, whose words carry endings) are set apart character by
character, so that each becomes a term with a position. A query then looks for pairs of neighbours, which is what a
bigram index does, without a second kind of term and with any sub-string found by a phrase. Arrow does it for a whole
column, and columns of ASCII never reach it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa
import tantivy

from nearrow import compute as pc
from nearrow.errors import InvalidArgumentError
from nearrow.schema.config import TextSettings

TERM_BYTES_MAX = 255
KEYWORD_BYTES_MAX = 8_192
STOP_WORD_LANGUAGES = frozenset(
    ("danish", "dutch", "english", "finnish", "french", "german", "hungarian", "italian", "norwegian", "portuguese",
     "russian", "spanish", "swedish")
)  # fmt: skip
UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Bopomofo}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー々〆]"
"""RE2 class of the characters that are terms of their own."""


@dataclass(frozen=True)
class Term:
    """One term of a text: `position` counts terms (stop words leave gaps), start and end count characters."""

    text: str
    position: int
    start: int
    end: int
    unspaced: bool


def spaced(column: pa.Array) -> pa.Array:
    """The column with unspaced characters set apart."""
    if pc.all(pc.string_is_ascii(column)).as_py() is not False:  # None: nothing but nulls
        return column
    return pc.replace_substring_regex(column, UNSPACED, r" \0 ")


class Analyzer:
    """Cuts texts of one field into terms. Thread-safe."""

    def __init__(self, settings: TextSettings) -> None:
        self.settings = settings
        self.indexing = _chain(settings, stemmed=True)
        self._unstemmed = _chain(settings, stemmed=False)
        self.keyword = settings.tokenizer == "raw"
        self.splits_unspaced = settings.tokenizer == "simple"

    def column(self, column: pa.Array) -> pa.Array:
        """What is handed to Tantivy for a column of texts."""
        return spaced(column) if self.splits_unspaced else column

    def terms(self, text: str, *, stemmed: bool = True) -> list[Term]:
        """The terms of `text`, with their places in it. `stemmed=False`: as they are before stemming."""
        chain = self.indexing if stemmed else self._unstemmed
        if not self.splits_unspaced or text.isascii():
            tokens = chain.pre_tokenize(text).tokens
            return [Term(t.text, t.position, t.char_offset_from, t.char_offset_to, False) for t in tokens]
        alone = _unspaced_characters(text)
        kept: list[str] = []
        places: list[int] = []  # of every character handed to Tantivy, in `text`
        for place, letter in enumerate(text):
            kept += (" ", letter, " ") if letter in alone else (letter,)
            places += (place, place, place) if letter in alone else (place,)
        tokens = chain.pre_tokenize("".join(kept)).tokens
        return [
            Term(t.text, t.position, start, places[t.char_offset_to - 1] + 1, text[start] in alone)
            for t in tokens
            for start in (places[t.char_offset_from],)
        ]


def _unspaced_characters(text: str) -> frozenset[str]:
    letters = pa.array(sorted({letter for letter in text if letter > "\x7f"}), pa.string())
    return frozenset(letters.filter(pc.match_substring_regex(letters, UNSPACED)).to_pylist())


def _chain(settings: TextSettings, *, stemmed: bool) -> tantivy.TextAnalyzer:
    make, step = tantivy.Tokenizer, tantivy.Filter
    if settings.tokenizer == "raw":
        return tantivy.TextAnalyzerBuilder(make.raw()).filter(step.remove_long(KEYWORD_BYTES_MAX)).build()
    tokenizer = make.whitespace() if settings.tokenizer == "whitespace" else make.simple()
    chain = tantivy.TextAnalyzerBuilder(tokenizer).filter(step.remove_long(TERM_BYTES_MAX)).filter(step.lowercase())
    stop = settings.stop_words
    if isinstance(stop, str):
        if stop not in STOP_WORD_LANGUAGES:
            known = ", ".join(sorted(STOP_WORD_LANGUAGES))
            raise InvalidArgumentError(f"no stop word list for {stop!r}, only for {known}; give the words themselves")
        chain = chain.filter(step.stopword(stop))
    elif stop:
        chain = chain.filter(step.custom_stopword([word.lower() for word in stop]))
    if settings.stemmer is not None and stemmed:
        chain = chain.filter(step.stemmer(settings.stemmer))
    if settings.ascii_folding:
        chain = chain.filter(step.ascii_fold())
    return chain.build()


@lru_cache(maxsize=64)
def analyzer_of(settings: TextSettings) -> Analyzer:
    return Analyzer(settings)


__all__ = ["Analyzer", "Term", "analyzer_of"]
