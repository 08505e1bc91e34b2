"""Mongo: what does a filter spelled as a dict mean?

Sibling keys and sibling operators are all required. On nulls it follows MongoDB: a missing or null field matches
`$exists: false`, `$eq: null`, `$ne`, `$nin` and `$not`, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from nearrow.errors import FilterError
from nearrow.query.filter import operands
from nearrow.query.filter.fields import element_of, resolve
from nearrow.query.filter.patterns import fixed, matching_rows
from nearrow.query.filter.tree import And, Constant, Exists, Field, Match, Node, Not, Or, Quantified
from nearrow.schema import nearest_name

DEPTH_MAX = 64
NODES_MAX = 1_000
LOGICAL = ("$and", "$or", "$nor", "$not")
COMPARISONS = {"$eq": "eq", "$gt": "gt", "$gte": "gte", "$lt": "lt", "$lte": "lte"}
PATTERNS = {"$startsWith": "startsWith", "$endsWith": "endsWith", "$like": "like", "$regex": "regex"}
OTHERS = ("$ne", "$between", "$in", "$nin", "$exists", "$contains", "$any", "$all")
OPERATORS = (*LOGICAL, *COMPARISONS, *PATTERNS, *OTHERS)


def parse(where: Mapping[str, Any], schema: pa.Schema) -> Node:
    """The tree of a dict filter; FilterError names the unknown field or operator, or the operand of the wrong type."""
    return _Parser(schema).clause(where, 1)


def all_of_nodes(nodes: list[Node]) -> Node:
    return nodes[0] if len(nodes) == 1 else And(tuple(nodes))


def any_of_nodes(nodes: list[Node]) -> Node:
    return nodes[0] if len(nodes) == 1 else Or(tuple(nodes))


class _Parser:
    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._nodes = 0

    def clause(self, where: Any, depth: int) -> Node:
        if not isinstance(where, Mapping):
            raise FilterError(f"a filter clause is a dict such as {{'year': {{'$gte': 2020}}}}, not {where!r:.60}")
        self._count(depth)
        nodes = []
        for key, value in where.items():
            if isinstance(key, str) and key.startswith("$"):
                nodes.append(self._logical(key, value, depth + 1))
            else:
                nodes.append(self._condition(resolve(key, self._schema), value, depth + 1))
        return all_of_nodes(nodes)

    def _count(self, depth: int) -> None:
        self._nodes += 1
        if depth > DEPTH_MAX:
            raise FilterError(f"the filter is nested more than {DEPTH_MAX} levels deep; flatten it")
        if self._nodes > NODES_MAX:
            raise FilterError(f"the filter has more than {NODES_MAX} conditions; use $in for long lists of values")

    def _logical(self, key: str, value: Any, depth: int) -> Node:
        if key == "$not":
            return Not(self.clause(value, depth))
        if key not in LOGICAL:
            if key in OPERATORS:
                raise FilterError(f"operator {key!r} needs a field: {{'field': {{{key!r}: …}}}}")
            raise FilterError(f"unknown operator {key!r}{nearest_name(key, LOGICAL)}")
        if not isinstance(value, (list, tuple)) or not value:
            raise FilterError(f"{key} takes a non-empty list of clauses, not {value!r:.60}")
        nodes = [self.clause(clause, depth) for clause in value]
        if key == "$and":
            return all_of_nodes(nodes)
        return any_of_nodes(nodes) if key == "$or" else Not(any_of_nodes(nodes))

    def _condition(self, field: Field, value: Any, depth: int) -> Node:
        self._count(depth)
        if not isinstance(value, Mapping):
            return self._operator(field, "$eq", value, depth)
        if not value:
            raise FilterError(f"field {field.name!r} has an empty condition {{}}; name an operator such as $eq")
        for key in value:
            if not isinstance(key, str) or not key.startswith("$"):
                raise FilterError(
                    f"field {field.name!r}: {key!r} is no operator; for a field inside it write {f'{field.name}.{key}'!r}"
                )
        return all_of_nodes([self._operator(field, key, operand, depth) for key, operand in value.items()])

    def _operator(self, field: Field, key: str, operand: Any, depth: int) -> Node:
        if key not in OPERATORS or key in ("$and", "$or", "$nor"):
            raise FilterError(f"unknown operator {key!r} of field {field.name!r}{nearest_name(key, OPERATORS)}")
        if key == "$not":
            return Not(self._condition(field, operand, depth + 1))
        if key == "$exists":
            return self._exists(field, operand)
        if operand is None and key in ("$eq", "$ne"):
            return self._exists(field, key == "$ne")
        if operand is None:
            raise FilterError(f"{key} of field {field.name!r} needs a value, not None; use $exists or $eq")
        if field.in_list:
            return self._list_operator(field, key, operand, depth)
        if key in ("$any", "$all") and not pt.is_null(field.type):
            raise FilterError(f"{key} is for lists, but field {field.name!r} is {field.type}; use $in or $eq")
        return self._scalar_operator(field, key, operand)

    def _exists(self, field: Field, operand: Any) -> Node:
        if not isinstance(operand, bool):
            raise FilterError(f"$exists of field {field.name!r} takes True or False, not {operand!r:.60}")
        node: Node = Exists(field)
        if field.in_list and field.rest:
            node = Quantified(field, self._exists(element_of(field), True), every=False)
        return node if operand else Not(node)

    def _scalar_operator(self, field: Field, key: str, operand: Any) -> Node:
        if key in COMPARISONS:
            return operands.compare(field, COMPARISONS[key], operand)
        if key == "$ne":
            return Not(operands.compare(field, "eq", operand))
        if key == "$between":
            if not isinstance(operand, (list, tuple)) or len(operand) != 2 or None in operand:
                raise FilterError(f"$between of field {field.name!r} takes [low, high], both included")
            return And((operands.compare(field, "gte", operand[0]), operands.compare(field, "lte", operand[1])))
        if key in ("$in", "$nin"):
            node, with_null = operands.one_of(field, operand)
            if with_null:
                node = Or((node, Not(Exists(field))))
            return node if key == "$in" else Not(node)
        return pattern(field, "contains" if key == "$contains" else PATTERNS.get(key, key), operand)

    def _list_operator(self, field: Field, key: str, operand: Any, depth: int) -> Node:
        element = element_of(field)
        if key == "$contains":
            return Quantified(field, self._condition(element, {"$eq": operand}, depth + 1), every=False)
        if key in ("$any", "$all") and isinstance(operand, Mapping):
            return Quantified(field, self._condition(element, operand, depth + 1), every=key == "$all")
        if key == "$any":
            return Quantified(field, operands.one_of(element, operand)[0], every=False)
        if key == "$all":
            operands.one_of(element, operand)  # refuses what is no list, or too long
            nodes = [self._list_operator(field, "$contains", value, depth) for value in operand]
            return all_of_nodes(nodes) if nodes else Constant(False)
        raise FilterError(
            f"{key} is for single values, but field {field.name!r} is {field.type}; "
            f"use $contains, or $any / $all with a list or a condition such as {{'$any': {{{key!r}: …}}}}"
        )


def pattern(field: Field, kind: str, operand: Any) -> Node:
    """A string match; the pattern is tried on nothing, so that a bad regular expression is refused here."""
    if pt.is_null(field.type):
        return Constant(False)
    if not pt.is_string(field.type):
        advice = "; for a struct name the field inside it" if pt.is_struct(field.type) else ""
        raise FilterError(f"${kind} is for strings and lists, but field {field.name!r} is {field.type}{advice}")
    if not isinstance(operand, str):
        raise FilterError(f"${kind} of field {field.name!r} takes a str, not {operand!r:.60}")
    if fixed(kind, operand) is not None:
        return Match(field, kind, operand)
    try:
        matching_rows(pa.array([""]), kind, operand)
    except pa.ArrowInvalid as error:
        raise FilterError(f"${kind} of field {field.name!r}: {operand!r} is no valid pattern: {error}") from None
    return Match(field, kind, operand)
