"""Tree: what does a filter say, whichever way it was spelled?

Every node is true or false for a row, never null: a leaf is false where its field is null (`Exists` alone sees nulls),
and `Not` is plain negation. The dict spelling maps onto that directly. SQL's third value is dealt with when a text is
translated: its NOT is pushed down to the leaves, where "false or null" and "not true" part.

Nodes are frozen and hashable: a tree is the key under which its bitmap is cached.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field as attribute
from functools import cached_property

import pyarrow as pa

from nearrow import compute as pc
from nearrow.schema.types import is_list

Value = bool | int | float | str
"""An operand, in the representation of its column: temporal ones are integers in the column's unit."""


@dataclass(frozen=True)
class Field:
    """A column, or what lies at a dotted path in it.

    path: the struct fields from the column to the value, or to the first list on the way.
    rest: what the user's path has left behind that list (`authors.name`: the name of each author).
    """

    name: str
    column: str
    path: tuple[str, ...]
    type: pa.DataType
    rest: tuple[str, ...] = ()

    @property
    def in_list(self) -> bool:
        return is_list(self.type)


@dataclass(frozen=True)
class Node:
    """Base of all nodes."""


@dataclass(frozen=True)
class Constant(Node):
    value: bool


@dataclass(frozen=True)
class And(Node):
    children: tuple[Node, ...]


@dataclass(frozen=True)
class Or(Node):
    children: tuple[Node, ...]


@dataclass(frozen=True)
class Not(Node):
    child: Node


@dataclass(frozen=True)
class Exists(Node):
    """The field is not null."""

    field: Field


@dataclass(frozen=True)
class Compare(Node):
    """field `operation` value; operation is one of eq ne gt gte lt lte.

    nan_is_greatest: DuckDB's order, NaN above every number; otherwise NaN is unequal to all (IEEE 754).
    """

    field: Field
    operation: str
    value: Value
    nan_is_greatest: bool = False


@dataclass(frozen=True)
class In(Node):
    """The field is one of `values` (an Arrow array of the column's representation); compared by digest."""

    field: Field
    digest: str
    values: pa.Array = attribute(compare=False, repr=False)


@dataclass(frozen=True)
class Match(Node):
    """The string field matches `pattern`; kind is one of contains startsWith endsWith like regex."""

    field: Field
    kind: str
    pattern: str


@dataclass(frozen=True)
class Quantified(Node):
    """Some element (or every element) of the list satisfies `predicate`, whose fields start at the element.

    False where the list is null; `every` is true for an empty list.
    """

    field: Field
    predicate: Node
    every: bool


@dataclass(frozen=True)
class SqlFilter(Node):
    """An expression in DuckDB's dialect, evaluated by the SQL engine that `evaluate` is given."""

    text: str
    columns: tuple[str, ...]
    schema: pa.Schema = attribute(repr=False)  # a column may become wider, and the expression mean something else


@dataclass(frozen=True)
class ArrowFilter(Node):
    """A pyarrow expression, evaluated by Acero; compared by its serialised form."""

    digest: str
    text: str
    expression: pc.Expression = attribute(compare=False, repr=False)
    schema: pa.Schema = attribute(repr=False)


class FilterKey:
    """A tree as a key whose hash is computed once. Equal keys have equal trees."""

    __slots__ = ("_hash", "root")

    def __init__(self, root: Node) -> None:
        self.root = root
        self._hash = hash(root)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FilterKey) and self._hash == other._hash and self.root == other.root


@dataclass(frozen=True)
class Filter:
    """A validated filter. `key` with a part's key identifies a bitmap."""

    root: Node

    @cached_property
    def key(self) -> FilterKey:
        return FilterKey(self.root)

    @cached_property
    def matches_all(self) -> bool:
        return self.root == And(())

    def __str__(self) -> str:
        return describe(self.root)


_SIGNS = {"eq": "=", "ne": "≠", "gt": ">", "gte": "≥", "lt": "<", "lte": "≤"}


def describe(node: Node) -> str:
    """The tree on one line, for explain."""
    match node:
        case Constant(value):
            return "everything" if value else "nothing"
        case And(children):
            return "(" + " and ".join(map(describe, children)) + ")" if children else "everything"
        case Or(children):
            return "(" + " or ".join(map(describe, children)) + ")" if children else "nothing"
        case Not(child):
            return f"not {describe(child)}"
        case Exists(at):
            return f"{at.name or 'element'} exists"
        case Compare(at, operation, value):
            return f"{at.name or 'element'} {_SIGNS[operation]} {value!r}"
        case In(at, _, values):
            return f"{at.name or 'element'} in {values.to_pylist() if len(values) <= 5 else f'{len(values)} values'}"
        case Match(at, kind, pattern):
            return f"{at.name or 'element'} {kind} {pattern!r}"
        case Quantified(at, predicate, every):
            return f"{'every' if every else 'some'} element of {at.name or 'element'} ({describe(predicate)})"
        case SqlFilter(text):
            return f"sql({text})"
        case ArrowFilter(text=text):
            return f"arrow({text})"
    raise TypeError(f"no description of {type(node).__name__}")


def children_of(node: Node) -> Iterator[Node]:
    match node:
        case And(children) | Or(children):
            yield from children
        case Not(child) | Quantified(predicate=child):
            yield child


def columns_of(node: Node) -> set[str] | None:
    """The columns that the tree reads; None if it cannot be told (a pyarrow expression)."""
    if isinstance(node, ArrowFilter):
        return None
    names = set(node.columns) if isinstance(node, SqlFilter) else set()
    if isinstance(node, (Exists, Compare, In, Match, Quantified)):
        names.add(node.field.column)
    if isinstance(node, (And, Or, Not)):
        for child in children_of(node):
            below = columns_of(child)
            if below is None:
                return None
            names |= below
    return names
