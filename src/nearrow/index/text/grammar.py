"""Grammar: what does a text query mean?

    query    = [ either ]
    either   = both { ["OR"] both }                 any of them may match; more matches, higher score
    both     = clause { "AND" clause }              all must match
    clause   = [ "+" | "-" | "NOT" ] [ field ":" ] atom [ "~" [digits] ] [ "^" number ]
    atom     = word [ "*" ] | "*" | '"' words '"' | "(" either ")"

``+`` must match, ``-`` (or NOT) must not. After a word ``~n`` is fuzzy (n edits: 1 or 2, default 1), after a phrase it
is slop (words may lie n further apart). A word may hold any character but white space, quotes and parentheses; a
backslash takes the next character literally; an operator counts only where a clause may begin or end, so that
``state-of-the-art`` and ``C++`` are plain words. White space is Unicode's.

Lenient (the default): whatever does not follow the grammar is read as plain words, for users type e-mails and URLs into
search boxes; strict: it is refused with an InvalidArgumentError that says where. The parser knows no index: field
names are looked up through `known`.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from nearrow.errors import InvalidArgumentError
from nearrow.index.text.query import Clause, Everything, Group, Node, Occur, Phrase, TextQuery, Word
from nearrow.schema.config import nearest_name

CLAUSES_MAX = 4_096
DEPTH_MAX = 32
EDITS_MAX = 2
SLOP_MAX = 1_000
BOOST_MAX = 1e6


def parse(query: TextQuery, known: Collection[str]) -> Group:
    """The meaning of a query; raises InvalidArgumentError if it is strict and malformed, or too large."""
    parser = _Parser(query.text, known, query.strict)
    plain = Occur.MUST if query.operator == "and" else Occur.SHOULD
    group = parser.either(plain, depth=0)
    parser.skip_space()
    while parser.at < len(parser.text):  # only a stray ")" stops `either` before the end
        parser.complain("an unmatched ')'")
        parser.at += 1
        rest = parser.either(plain, depth=0)
        group = Group(group.clauses + rest.clauses)
        parser.skip_space()
    return group


_NUMBER = re.compile(r"\d+(\.\d+)?|\.\d+", re.ASCII)
_DIGITS = re.compile(r"\d*", re.ASCII)


class _Parser:
    def __init__(self, text: str, known: Collection[str], strict: bool) -> None:
        self.text = text
        self.known = known
        self.strict = strict
        self.at = 0
        self.clauses = 0

    def complain(self, what: str) -> None:
        if self.strict:
            raise InvalidArgumentError(
                f"text query: {what} at character {self.at} of {self.text!r}; quote it or escape it with \\"
            )

    def peek(self, offset: int = 0) -> str:
        at = self.at + offset
        return self.text[at] if at < len(self.text) else ""

    def skip_space(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def keyword(self, name: str) -> bool:
        end = self.at + len(name)
        after = self.text[end : end + 1]
        if not self.text.startswith(name, self.at) or not (after.isspace() or after in '("'):
            return False
        self.at = end
        return True

    def either(self, plain: Occur, depth: int) -> Group:
        clauses: list[Clause] = []
        while True:
            self.skip_space()
            if self.at >= len(self.text) or self.peek() == ")":
                return Group(tuple(clauses))
            if self.keyword("OR"):
                if not clauses:
                    self.complain("OR without a left side")
                continue
            clauses.extend(self.both(plain, depth))

    def both(self, plain: Occur, depth: int) -> list[Clause]:
        found = self.clause(plain, depth)
        joined = [found] if found else []
        while True:
            self.skip_space()
            if not self.keyword("AND"):
                break
            self.skip_space()
            if not joined or self.at >= len(self.text) or self.peek() == ")":
                self.complain("AND without two sides")
                break
            right = self.clause(plain, depth)
            joined.extend([right] if right else [])
        if len(joined) < 2:
            return joined
        required = (c if c.occur is Occur.MUST_NOT else Clause(Occur.MUST, c.node, c.boost) for c in joined)
        return [Clause(plain, Group(tuple(required)))]

    def clause(self, plain: Occur, depth: int) -> Clause | None:
        start = self.at
        self.clauses += 1
        if self.clauses > CLAUSES_MAX:
            raise InvalidArgumentError(f"the text query has more than {CLAUSES_MAX} words; shorten it")
        occur = plain
        if self.peek() in ("+", "-") and not (self.peek(1) == "" or self.peek(1).isspace() or self.peek(1) == ")"):
            occur = Occur(self.peek())
            self.at += 1
        elif self.keyword("NOT"):
            occur = Occur.MUST_NOT
            self.skip_space()
        field = self.field()
        node = self.atom(field, plain, depth)
        if node is None:
            if self.at == start:
                self.at += 1  # something that is no clause: always move on
            return None
        return Clause(occur, node, self.boost())

    def field(self) -> str | None:
        for name in sorted(self.known, key=len, reverse=True):
            end = self.at + len(name)
            colon, after = self.text[end : end + 1], self.text[end + 1 : end + 2]
            if self.text.startswith(name, self.at) and colon == ":" and after.strip() and after != ")":
                self.at = end + 1
                return name
        unknown = re.match(r"[^\W\d]\w*(?=:\S)", self.text[self.at : self.at + 256])
        if unknown and self.strict:
            self.complain(f"unknown field {unknown[0]!r}{nearest_name(unknown[0], self.known)}")
        return None

    def atom(self, field: str | None, plain: Occur, depth: int) -> Node | None:
        if self.peek() == '"':
            return self.phrase(field)
        if self.peek() == "(":
            return self.group(field, plain, depth)
        word, star = self.word()
        if not word:
            if star and field is None:
                return Everything()
            self.complain("no word")
            return None
        return Word(word, field, self.edits(), star)

    def group(self, field: str | None, plain: Occur, depth: int) -> Node | None:
        if depth >= DEPTH_MAX:
            raise InvalidArgumentError(f"the text query nests more than {DEPTH_MAX} parentheses; flatten it")
        self.at += 1
        group = self.either(plain, depth + 1)
        if self.peek() == ")":
            self.at += 1
        else:
            self.complain("a missing ')'")
        return _inside(group, field) if field else group

    def phrase(self, field: str | None) -> Node | None:
        end = self.at + 1
        letters: list[str] = []
        while end < len(self.text) and self.text[end] != '"':
            end += self.text[end] == "\\" and end + 1 < len(self.text)
            letters.append(self.text[end])
            end += 1
        if end >= len(self.text):
            self.complain('a missing "')
            self.at += 1  # lenient: what follows the lone quote is read as plain words
            return None
        self.at = end + 1
        slop = self.number_after_tilde(default=0, limit=SLOP_MAX, what="slop")
        text = "".join(letters)
        return Phrase(text, field, slop) if text.strip() else None

    def word(self) -> tuple[str, bool]:
        """The next word without its operators, and whether it ends in `*`."""
        letters: list[str] = []
        while self.at < len(self.text):
            letter = self.peek()
            if letter.isspace() or letter in '"()' or self.operator_here():
                break
            if letter == "\\" and self.peek(1):
                self.at += 1
                letter = self.peek()
            elif letter == "*":
                if self.word_ends(1):
                    self.at += 1
                    return "".join(letters), True
                self.complain("a * inside a word (only a trailing * is understood)")
            letters.append(letter)
            self.at += 1
        return "".join(letters), False

    def operator_here(self) -> bool:
        tail = re.compile(r"(~\d*)?(\^(\d+(\.\d+)?|\.\d+))?(?=[\s)(\"]|$)", re.ASCII)
        return self.peek() in ("~", "^") and bool((found := tail.match(self.text, self.at)) and found[0])

    def word_ends(self, offset: int) -> bool:
        after = self.peek(offset)
        return not after or after.isspace() or after in '()"^~'

    def edits(self) -> int:
        return self.number_after_tilde(default=1, limit=EDITS_MAX, what="edits")

    def number_after_tilde(self, default: int, limit: int, what: str) -> int:
        if self.peek() != "~":
            return 0
        self.at += 1
        found = _DIGITS.match(self.text, self.at)
        digits = found[0] if found else ""
        self.at += len(digits)
        number = int(digits[:9]) if digits else default
        if number > limit:
            self.complain(f"{number} {what} (at most {limit})")
        return min(number, limit)

    def boost(self) -> float:
        if self.peek() != "^":
            return 1.0
        found = _NUMBER.match(self.text, self.at + 1)
        value = float(found[0]) if found else 0.0
        if not found or not 0.0 < value <= BOOST_MAX:
            self.complain("a boost that is no positive number")
            value = 1.0
        self.at += 1 + len(found[0] if found else "")
        return value


def _inside(group: Group, field: str) -> Group:
    """`field:(a b)` = `(field:a field:b)`; a field named inside wins."""

    def settle(node: Node) -> Node:
        if isinstance(node, Group):
            return _inside(node, field)
        if isinstance(node, Word):
            return Word(node.text, node.field or field, node.edits, node.prefix)
        if isinstance(node, Phrase):
            return Phrase(node.text, node.field or field, node.slop)
        return node

    return Group(tuple(Clause(c.occur, settle(c.node), c.boost) for c in group.clauses))


__all__ = ["CLAUSES_MAX", "DEPTH_MAX", "parse"]
