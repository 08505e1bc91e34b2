"""Text index against a naive one: the same rows, and the same scores, for any rows, deletes and query?"""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearrow.errors import InvalidArgumentError
from nearrow.index.text import TextField, TextIndex, TextQuery
from nearrow.index.text.grammar import parse
from nearrow.index.text.query import Clause, Group, Occur, Phrase, Word
from nearrow.index.text.snippet import edit_distance
from nearrow.schema.config import TextSettings

WORDS = ["ant", "ants", "bee", "been", "cat", "élan", "dog9"]
FIELDS = ("title", "body")
PLAIN = TextSettings(stemmer=None, ascii_folding=False)
K1, B = 1.2, 0.75


@dataclass(frozen=True)
class Part:
    """A query as text, with the rule that says which rows match it. A row maps its fields to lists of words."""

    text: str
    rule: object

    def matches(self, row: dict[str, list[str]]) -> bool:
        return bool(self.rule(row))  # type: ignore[operator]


def in_fields(field: str | None, test: object) -> object:
    return lambda row: any(test(row[name]) for name in ((field,) if field else FIELDS))  # type: ignore[operator]


def prefixed(field: str | None, text: str) -> str:
    return f"{field}:{text}" if field else text


@st.composite
def atoms(draw: st.DrawFn) -> Part:
    field = draw(st.sampled_from([None, *FIELDS]))
    word = draw(st.sampled_from(WORDS))
    kind = draw(st.sampled_from(["word", "phrase", "prefix", "fuzzy"]))
    if kind == "word":
        boost = draw(st.sampled_from(["", "^2", "^0.5"]))
        return Part(
            prefixed(field, word.upper() if draw(st.booleans()) else word) + boost,
            in_fields(field, lambda ws: word in ws),
        )
    if kind == "prefix":
        stem = word[: draw(st.integers(1, len(word)))]
        return Part(prefixed(field, stem + "*"), in_fields(field, lambda ws: any(w.startswith(stem) for w in ws)))
    if kind == "fuzzy":
        edits = draw(st.integers(1, 2))
        near = in_fields(field, lambda ws: any(edit_distance(word, w) <= edits for w in ws))
        return Part(prefixed(field, f"{word}~{edits}"), near)
    phrase = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3))
    size = len(phrase)
    return Part(
        prefixed(field, f'"{" ".join(phrase)}"'),
        in_fields(field, lambda ws: any(ws[i : i + size] == phrase for i in range(len(ws) - size + 1))),
    )


def grouped(children: st.SearchStrategy[Part]) -> st.SearchStrategy[Part]:
    def build(items: list[tuple[str, Part]]) -> Part:
        must = [p for sign, p in items if sign == "+"]
        must_not = [p for sign, p in items if sign == "-"]
        should = [p for sign, p in items if sign == ""]

        def rule(row: dict[str, list[str]]) -> bool:
            wanted = (
                all(p.matches(row) for p in must) if must else (any(p.matches(row) for p in should) if should else True)
            )
            return wanted and not any(p.matches(row) for p in must_not)

        return Part(" ".join(f"{sign}{p.text}" for sign, p in items), rule)

    groups = st.lists(st.tuples(st.sampled_from(["", "", "+", "-"]), children), min_size=1, max_size=4).map(build)
    return st.one_of(groups, groups.map(lambda g: Part(f"({g.text})", g.rule)))


queries = grouped(st.one_of(atoms(), grouped(atoms()).map(lambda g: Part(f"({g.text})", g.rule))))
texts = st.one_of(st.none(), st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join))
batches = st.lists(
    st.tuples(st.lists(st.tuples(texts, texts), max_size=6), st.sets(st.integers(0, 20), max_size=3)), max_size=4
)


def filled(
    index: TextIndex, steps: list[tuple[list[tuple[str | None, str | None]], set[int]]]
) -> dict[int, dict[str, list[str]]]:
    """Write the batches, one commit each, and return the rows that are alive."""
    alive: dict[int, dict[str, list[str]]] = {}
    row = 0
    for added, deleted in steps:
        numbers = np.arange(row, row + len(added), dtype=np.uint64)
        columns = {name: pa.array([values[n] for values in added], pa.string()) for n, name in enumerate(FIELDS)}
        index.add(numbers, columns)
        for number, values in zip(numbers.tolist(), added, strict=True):
            alive[number] = {name: (value or "").split() for name, value in zip(FIELDS, values, strict=True)}
        row += len(added)
        gone = {number for number in deleted if number < row}
        index.delete(np.array(sorted(gone), np.uint64))
        for number in gone:
            alive.pop(number, None)
        index.commit(row)
    return alive


@settings(max_examples=60)
@given(batches, st.lists(queries, min_size=1, max_size=6))
def test_any_query_matches_what_its_rule_says(steps: list, asked: list[Part]) -> None:  # type: ignore[type-arg]
    index = TextIndex.open(None, [TextField(name, PLAIN) for name in FIELDS])
    alive = filled(index, steps)
    for part in asked:
        expected = [number for number, row in sorted(alive.items()) if part.matches(row)]
        strict = TextQuery(part.text, strict=True)
        assert index.matches(strict).tolist() == expected, part.text
        numbers, scores = index.search(strict, 100)
        assert sorted(numbers.tolist()) == expected, part.text
        assert index.count(strict) == len(expected)
        for limit in (1, 3):
            assert index.search(strict, limit)[0].tolist() == numbers[:limit].tolist(), part.text
        np.testing.assert_allclose(index.scores_of(strict, numbers), scores, rtol=1e-5)
    index.close()


@settings(max_examples=40)
@given(
    st.lists(st.lists(st.sampled_from(WORDS), max_size=12), min_size=1, max_size=12),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=3, unique=True),
)
def test_scores_are_bm25(documents: list[list[str]], asked: list[str]) -> None:
    index = TextIndex.open(None, [TextField("text", PLAIN)])
    index.add(np.arange(len(documents), dtype=np.uint64), {"text": pa.array([" ".join(d) for d in documents])})
    index.commit(len(documents))
    count = len(documents)
    average = sum(map(len, documents)) / count
    expected = {}
    for row, document in enumerate(documents):
        frequencies = Counter(document)
        score = 0.0
        for word in asked:
            holders = sum(word in other for other in documents)
            idf = math.log(1 + (count - holders + 0.5) / (holders + 0.5))
            frequency = frequencies[word]
            if frequency:
                length = 1 - B + B * len(document) / average
                score += idf * frequency * (K1 + 1) / (frequency + K1 * length)
        if score:
            expected[row] = score
    numbers, scores = index.search(" ".join(asked), 100)
    assert sorted(numbers.tolist()) == sorted(expected)
    np.testing.assert_allclose(scores, [expected[row] for row in numbers.tolist()], rtol=1e-4)


@given(st.text(max_size=60))
def test_no_text_breaks_the_lenient_parser(text: str) -> None:
    parse(TextQuery(text), FIELDS)


@given(
    st.lists(
        st.sampled_from(
            ["a", '"', "(", ")", "+", "-", "~", "^", "*", ":", "\\", " ", "title:", "AND", "OR", "NOT", "2", "東"]
        ),
        max_size=25,
    )
)
def test_no_mix_of_operators_breaks_parser_or_search(pieces: list[str]) -> None:
    text = "".join(pieces)
    SMALL.search(text, 5)
    SMALL.snippet(text, "a 東京 2 and title")
    with contextlib.suppress(InvalidArgumentError):  # nothing else may come out of it
        SMALL.search(text, 5, strict=True)


SMALL = TextIndex.open(None, ["title"])
SMALL.add(np.arange(2, dtype=np.uint64), {"title": pa.array(["a 2 東京", "and"])})
SMALL.commit(2)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('a "b', 'a missing "'),
        ("(a b", r"a missing '\)'"),
        ("a) b", r"an unmatched '\)'"),
        ("titel:a", "unknown field 'titel'.*did you mean 'title'"),
        ("a~5", "5 edits"),
        ("a*b", r"inside a word"),
        ("a^0", "boost"),
        ("OR a", "OR without"),
        ("a AND", "AND without"),
    ],
)
def test_strict_queries_say_what_is_wrong_and_lenient_ones_search(text: str, problem: str) -> None:
    with pytest.raises(InvalidArgumentError, match=problem):
        parse(TextQuery(text, strict=True), FIELDS)
    assert parse(TextQuery(text), FIELDS).clauses


def test_the_tree_of_a_query_is_what_the_grammar_says() -> None:
    tree = parse(TextQuery(r'+a title:"b c"~2^3 d~1 e* (f -g)^2 \+h'), FIELDS)
    assert tree == Group(
        (
            Clause(Occur.MUST, Word("a")),
            Clause(Occur.SHOULD, Phrase("b c", "title", 2), 3.0),
            Clause(Occur.SHOULD, Word("d", None, 1)),
            Clause(Occur.SHOULD, Word("e", None, 0, True)),
            Clause(Occur.SHOULD, Group((Clause(Occur.SHOULD, Word("f")), Clause(Occur.MUST_NOT, Word("g")))), 2.0),
            Clause(Occur.SHOULD, Word("+h")),
        )
    )


def test_queries_that_are_too_large_are_refused() -> None:
    for text in ("a " * 5_000, "(" * 40 + "a" + ")" * 40, "a" * 70_000):
        with pytest.raises(InvalidArgumentError):
            parse(TextQuery(text), FIELDS)
    with pytest.raises(InvalidArgumentError):
        TextQuery(3)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError):
        SMALL.search("a" * 200 + "~1", 5)
