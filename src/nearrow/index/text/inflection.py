"""Inflection: which stems can a word have that begins with these letters?

`runn*` must find *running*, but the index holds its stem, *run*. So the letters are continued by all that can be left of
an English suffix, and each continuation is stemmed: runn + ing → run. No second index of unstemmed words is kept (it
would cost half as many bytes again and three quarters more time). Other languages compare prefixes with stems.
"""

from __future__ import annotations

from nearrow.index.text.analysis import Analyzer

_SUFFIXES = """
s es ies ed ied ing ings er ers est ly edly ingly ness nesses ation ations ational ator ators ate ates ated ating ion ions
ional al ally ality alities ize izes ized izing izer ization ise ises ised ising iser isation alize alized alism ive ively
ivity iveness ful fully fulness ous ously ousness able ably ability abilities ible ibly ibility ment ments ance ances ence
ences ant ants ent ents ency ancy ic ical ically icate ity ities ogy ogist y ier iest ily iness ish less lessness ship
"""
TAILS: dict[str, tuple[str, ...]] = {
    "english": tuple(sorted({suffix[start:] for suffix in _SUFFIXES.split() for start in range(len(suffix))}))
}


def stems_of_prefix(analyzer: Analyzer, prefix: str) -> list[str]:
    """Stems of words that begin with `prefix`, of those that do not begin so themselves. `prefix` is one term."""
    tails = TAILS.get(analyzer.settings.stemmer or "", ())
    if not tails:
        return []
    words = " ".join([prefix, *(prefix + tail for tail in tails)])
    return sorted({term.text for term in analyzer.terms(words) if not term.text.startswith(prefix)})


__all__ = ["stems_of_prefix"]
