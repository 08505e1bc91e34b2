"""Compile: which Tantivy query finds what a text query asks for?

A written word is analysed by each field's own analyzer and may become no term (a stop word: it then asks for nothing),
one, or several. Several terms of one word are separate words where it is optional, and a phrase where it is required
or excluded; neighbouring characters of unspaced scripts are phrases of two. A term that is repeated side by side counts
once, for BM25 sums over different terms (a boost makes one weigh more). Scores of several fields add up.

Prefixes and fuzzy words score a constant 1 (times the boost), for they stand for many terms; a fuzzy word that also
occurs as written scores its BM25 on top. With a stemmer a fuzzy word is compared with stems, as written and as stemmed;
a prefix stands for every word that begins so, and so for the stems of these words (see ``inflection``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass

import tantivy

from nearrow.errors import InvalidArgumentError
from nearrow.index.text.analysis import Analyzer, Term, analyzer_of
from nearrow.index.text.inflection import stems_of_prefix
from nearrow.index.text.query import Clause, Everything, Group, Node, Occur, Phrase, Word
from nearrow.index.text.settings import TextField
from nearrow.schema.config import nearest_name

ROW = "_row"
FUZZY_CHARACTERS_MAX = 128

_OCCUR = {Occur.SHOULD: tantivy.Occur.Should, Occur.MUST: tantivy.Occur.Must, Occur.MUST_NOT: tantivy.Occur.MustNot}


@dataclass(frozen=True)
class Sought:
    """A term that the query looks for in a field: what a snippet highlights."""

    text: str
    edits: int = 0
    prefix: bool = False


class Compiler:
    """Turns parsed queries into Tantivy's for one index. `columns` are the fields' names in its schema."""

    def __init__(self, schema: tantivy.Schema, fields: Sequence[TextField]) -> None:
        self.schema = schema
        self.fields = {field.name: field for field in fields}
        self.columns = {field.name: column_name(number) for number, field in enumerate(fields)}
        self._weigh: Callable[[str, Sequence[str]], float] | None = None
        self.analyzers: dict[str, Analyzer] = {field.name: analyzer_of(field.settings) for field in fields}

    def weighing(self, own: tantivy.Searcher, larger: tantivy.Searcher) -> Compiler:
        """A compiler for `own` whose terms weigh as in both indexes together (see TextView.beside)."""

        def weigh(column: str, terms: Sequence[str]) -> float:
            here = there = 0.0
            for term in terms:
                holders, others = own.doc_freq(column, term), larger.doc_freq(column, term)
                here += rarity(own.num_docs, holders)
                there += rarity(own.num_docs + larger.num_docs, holders + others)
            return there / here

        compiler = copy(self)
        compiler._weigh = weigh
        return compiler

    def chosen(self, names: Iterable[str] | None) -> tuple[str, ...]:
        """The fields to search; raises InvalidArgumentError for one that is no text field."""
        if names is None:
            return tuple(self.fields)
        wanted = tuple(dict.fromkeys(names))
        for name in wanted:
            if name not in self.fields:
                raise InvalidArgumentError(f"{name!r} is no text field{nearest_name(name, self.fields)}")
        if not wanted:
            raise InvalidArgumentError("fields must name at least one text field, or be None for all of them")
        return wanted

    def compile(self, group: Group, names: Sequence[str]) -> tantivy.Query:
        return self._group(group, names) or tantivy.Query.empty_query()

    def sought(self, group: Group, names: Sequence[str], name: str) -> list[Sought]:
        """What a group looks for in the field `name`, excluded parts left out."""
        found: list[Sought] = []
        analyzer = self.analyzers[name]
        for clause in group.clauses:
            node = clause.node
            if clause.occur is Occur.MUST_NOT or isinstance(node, Everything):
                continue
            if isinstance(node, Group):
                found += self.sought(node, names, name)
            elif name in ((node.field,) if node.field else names):
                terms = analyzer.terms(node.text)
                found += [Sought(term.text) for term in terms]
                if isinstance(node, Word) and (node.prefix or node.edits):
                    spelled = [*terms, *analyzer.terms(node.text, stemmed=False)]
                    affected = spelled if node.edits else spelled[-1:]
                    found += [Sought(term.text, node.edits, node.prefix) for term in affected]
                    if node.prefix and not node.edits and spelled:
                        found += [Sought(stem) for stem in stems_of_prefix(analyzer, spelled[-1].text)]
        return found

    def _group(self, group: Group, names: Sequence[str]) -> tantivy.Query | None:
        parts: list[tuple[tantivy.Occur, tantivy.Query]] = []
        seen: set[tuple[object, ...]] = set()
        for clause in group.clauses:
            query = self._node(clause, names, seen)
            if query is not None:
                boosted = query if clause.boost == 1.0 else tantivy.Query.boost_query(query, clause.boost)
                parts.append((_OCCUR[clause.occur], boosted))
        if parts and all(occur == tantivy.Occur.MustNot for occur, _ in parts):
            parts.append((tantivy.Occur.Must, everything()))
        return _boolean(parts)

    def _node(self, clause: Clause, names: Sequence[str], seen: set[tuple[object, ...]]) -> tantivy.Query | None:
        node: Node = clause.node
        if isinstance(node, Group):
            return self._group(node, names)
        if isinstance(node, Everything):
            return everything()
        found: list[tantivy.Query] = []
        for name in (node.field,) if node.field else names:
            if isinstance(node, Phrase):
                terms = self.analyzers[name].terms(node.text)
                query = self._phrase(name, terms, node.slop) if terms else None
            else:
                query = self._word(name, node, clause, seen)
            if query is not None:
                boost = self.fields[name].boost
                found.append(query if boost == 1.0 else tantivy.Query.boost_query(query, boost))
        return _boolean([(tantivy.Occur.Should, query) for query in found])

    def _word(self, name: str, word: Word, clause: Clause, seen: set[tuple[object, ...]]) -> tantivy.Query | None:
        if word.prefix or word.edits:
            return self._inexact(name, word)
        terms = self.analyzers[name].terms(word.text)
        units: list[Sequence[Term]] = [terms] if terms else []
        if clause.occur is Occur.SHOULD:
            units = list(_separate(terms))
        fresh: list[tantivy.Query] = []
        for unit in units:
            key = (name, clause.occur, clause.boost, *(term.text for term in unit))
            if key not in seen:
                seen.add(key)
                fresh.append(self._phrase(name, unit, 0))
        return _boolean([(tantivy.Occur.Should, query) for query in fresh])

    def _inexact(self, name: str, word: Word) -> tantivy.Query | None:
        """Every term of the word must match: the last one as a prefix, each of them with so many edits."""
        analyzer = self.analyzers[name]
        stemmed, written = analyzer.terms(word.text), analyzer.terms(word.text, stemmed=False)
        parts: list[tantivy.Query] = []
        for index, term in enumerate(stemmed):
            prefix = word.prefix and index == len(stemmed) - 1
            both = (written[index], term) if len(written) == len(stemmed) else (term,)
            spellings = list(dict.fromkeys(spelling.text for spelling in both))
            near: list[tantivy.Query] = []
            for spelling in spellings if prefix or word.edits else []:
                if len(spelling) > FUZZY_CHARACTERS_MAX:
                    raise InvalidArgumentError(f"a fuzzy or prefix word may have {FUZZY_CHARACTERS_MAX} characters")
                if prefix and spelling is not spellings[0] and not word.edits:
                    continue  # the stem of a prefix is a whole term, not the beginning of others
                column = self.columns[name]
                near.append(
                    tantivy.Query.fuzzy_term_query(self.schema, column, spelling, distance=word.edits, prefix=prefix)
                )
            if prefix and not word.edits and (stems := stems_of_prefix(analyzer, spellings[0])):
                near.append(tantivy.Query.term_set_query(self.schema, self.columns[name], stems))
            if near:
                near_any = near[0] if len(near) == 1 else tantivy.Query.disjunction_max_query(near)
                either = [(tantivy.Occur.Should, self._term(name, term.text)), (tantivy.Occur.Should, near_any)]
                parts.append(tantivy.Query.boolean_query(either))
            else:
                parts.append(self._term(name, term.text))
        return _boolean([(tantivy.Occur.Must, part) for part in parts])

    def _phrase(self, name: str, terms: Sequence[Term], slop: int) -> tantivy.Query:
        if len(terms) == 1:
            return self._term(name, terms[0].text)
        first = terms[0].position
        words: list[str | tuple[int, str]] = [(term.position - first, term.text) for term in terms]
        query = tantivy.Query.phrase_query(self.schema, self.columns[name], words, slop)
        return self._weighed(query, name, [term.text for term in terms])

    def _term(self, name: str, term: str) -> tantivy.Query:
        return self._weighed(tantivy.Query.term_query(self.schema, self.columns[name], term), name, [term])

    def _weighed(self, query: tantivy.Query, name: str, terms: Sequence[str]) -> tantivy.Query:
        if self._weigh is None:
            return query
        return tantivy.Query.boost_query(query, self._weigh(self.columns[name], terms))


def column_name(number: int) -> str:
    """What field `number` is called inside Tantivy: generated, for a user's name may hold anything."""
    return f"f{number}"


def rarity(documents: int, holders: int) -> float:
    """BM25's inverse document frequency, as Tantivy computes it."""
    return math.log1p((max(documents, holders) - holders + 0.5) / (holders + 0.5))


def everything() -> tantivy.Query:
    """All rows (the marker document has no row number), each with the score 0.

    Not 1, for Tantivy leaves out a required clause that all of a segment's documents match, and its score with it.
    """
    return tantivy.Query.const_score_query(tantivy.Query.exists_query(ROW), 0.0)


def _adjacent(left: Term, right: Term) -> bool:
    return left.unspaced and right.unspaced and right.position == left.position + 1


def _separate(terms: Sequence[Term]) -> Iterator[Sequence[Term]]:
    """The terms one by one; pairs of neighbours where characters are terms."""
    for index, term in enumerate(terms):
        if index + 1 < len(terms) and _adjacent(term, terms[index + 1]):
            yield terms[index : index + 2]
        elif index == 0 or not _adjacent(terms[index - 1], term):
            yield (term,)


def _boolean(parts: list[tuple[tantivy.Occur, tantivy.Query]]) -> tantivy.Query | None:
    if not parts:
        return None
    if len(parts) == 1 and parts[0][0] != tantivy.Occur.MustNot:
        return parts[0][1]
    return tantivy.Query.boolean_query(parts)


__all__ = ["ROW", "Compiler", "Sought", "column_name", "everything", "rarity"]
