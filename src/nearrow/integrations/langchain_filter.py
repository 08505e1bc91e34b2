"""LangChain filters: what does {"year": {"$gte": 2020}} mean over metadata?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nearrow.errors import FilterError
from nearrow.integrations.conditions import Conditions, Where, all_of, any_of, negated
from nearrow.schema import nearest_name

ORDERED = {"$gt": "gt", "$gte": "gte", "$lt": "lt", "$lte": "lte"}
TEXTS = ("$startsWith", "$endsWith", "$like", "$regex")
OPERATORS = (
    *ORDERED, *TEXTS, "$eq", "$ne", "$in", "$nin", "$exists", "$between", "$contains", "$any", "$all", "$not",
)  # fmt: skip


def where_of(filter: Any, conditions: Conditions) -> Any:
    """A filter over metadata keys as one over columns; what is no dict (SQL, a pyarrow expression) is left as it is."""
    return _clause(filter, conditions) if isinstance(filter, Mapping) else filter


def _clause(filter: Any, conditions: Conditions) -> Where:
    if not isinstance(filter, Mapping):
        raise FilterError(f"a filter clause is a dict such as {{'year': {{'$gte': 2020}}}}, not {filter!r:.60}")
    clauses = []
    for key, value in filter.items():
        if key == "$and":
            clauses.append(all_of([_clause(each, conditions) for each in value]))
        elif key == "$or":
            clauses.append(any_of([_clause(each, conditions) for each in value]))
        elif key == "$nor":
            clauses.append(negated(any_of([_clause(each, conditions) for each in value])))
        elif key == "$not":
            clauses.append(negated(_clause(value, conditions)))
        elif isinstance(value, Mapping):
            clauses += [_condition(key, operator, operand, conditions) for operator, operand in value.items()]
        else:
            clauses.append(conditions.equals(key, value))
    return all_of(clauses)


def _condition(key: str, operator: str, operand: Any, conditions: Conditions) -> Where:
    if operator in ORDERED:
        return conditions.ordered(key, ORDERED[operator], operand)
    if operator in TEXTS:
        return conditions.matches(key, {operator: operand})
    if operator == "$eq":
        return conditions.equals(key, operand)
    if operator == "$ne":
        return negated(conditions.equals(key, operand))
    if operator == "$in":
        return conditions.is_in(key, operand)
    if operator == "$nin":
        return negated(conditions.is_in(key, operand))
    if operator == "$exists":
        return conditions.exists(key) if operand else negated(conditions.exists(key))
    if operator == "$between":
        low, high = operand
        return all_of([conditions.ordered(key, "gte", low), conditions.ordered(key, "lte", high)])
    if operator == "$contains":
        found = [conditions.has(key, operand)]
        return any_of([*found, conditions.has_text(key, operand)] if isinstance(operand, str) else found)
    if operator == "$any":
        return conditions.has_any(key, operand)
    if operator == "$all":
        return conditions.has_all(key, operand)
    if operator == "$not":
        return negated(all_of([_condition(key, inner, value, conditions) for inner, value in operand.items()]))
    raise FilterError(f"unknown operator {operator!r} of {key!r}{nearest_name(str(operator), OPERATORS)}")
