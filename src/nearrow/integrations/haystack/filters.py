"""Haystack filters: what do {"field": "meta.year", "operator": ">=", "value": 2020} and its like mean over columns?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from haystack.errors import FilterError

from nearrow.errors import NearrowError
from nearrow.integrations.conditions import NOTHING, Conditions, Where, all_of, any_of, negated
from nearrow.integrations.documents import TEXT_COLUMN

ORDERED = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
OWN_FIELDS = {"id": "id", "content": TEXT_COLUMN}


def where_of(filters: Mapping[str, Any] | None, conditions: Conditions) -> Where | None:
    """A filter of Haystack as one over columns; None for none. haystack.errors.FilterError for a malformed one."""
    if not filters:
        return None
    try:
        return _clause(filters, conditions)
    except NearrowError as error:
        raise FilterError(str(error)) from error


def _clause(filters: Any, conditions: Conditions) -> Where:
    if not isinstance(filters, Mapping) or "operator" not in filters:
        raise FilterError(f"a filter is a dict with an 'operator', not {filters!r:.80}")
    if "field" in filters:
        return _comparison(filters, conditions)
    operator = filters["operator"]
    if not isinstance(filters.get("conditions"), list):
        raise FilterError(f"the filter {filters!r:.80} needs a 'field', or a list of 'conditions'")
    clauses = [_clause(each, conditions) for each in filters["conditions"]]
    if operator == "AND":
        return all_of(clauses)
    if operator == "OR":
        return any_of(clauses)
    if operator == "NOT":
        return negated(all_of(clauses))
    raise FilterError(f"unknown operator {operator!r} over conditions; known: AND, OR, NOT")


def _comparison(filters: Mapping[str, Any], conditions: Conditions) -> Where:
    if "value" not in filters:
        raise FilterError(f"the condition {dict(filters)!r:.80} has no 'value'")
    field, operator, value = filters["field"], filters["operator"], filters["value"]
    if operator in ("in", "not in") and not isinstance(value, list):
        raise FilterError(f"operator {operator!r} of {field!r} takes a list, not {type(value).__name__}")
    if operator in ORDERED and isinstance(value, list):
        raise FilterError(f"operator {operator!r} of {field!r} takes a number or an ISO 8601 time, not a list")
    if field in OWN_FIELDS:
        return _own(OWN_FIELDS[field], operator, value)
    key = metadata_key(field)
    if operator in ORDERED:
        return conditions.ordered(key, ORDERED[operator], value)
    if operator == "==":
        return conditions.equals(key, value)
    if operator == "!=":
        return negated(conditions.equals(key, value))
    if operator == "in":
        return conditions.is_in(key, value)
    if operator == "not in":
        return negated(conditions.is_in(key, value))
    raise FilterError(f"unknown operator {operator!r} of {field!r}; known: ==, !=, >, >=, <, <=, in, not in")


def _own(column: str, operator: str, value: Any) -> Where:
    """A condition on the id or the content."""
    clauses: dict[str, Where] = {
        "==": {column: {"$eq": value}},
        "!=": {column: {"$ne": value}},
        "in": {column: {"$in": value}} if value else NOTHING,
        "not in": {column: {"$nin": value}},
    }
    if operator not in clauses:
        raise FilterError(f"operator {operator!r} has no meaning for {column!r}; use ==, !=, in or not in")
    return clauses[operator]


def metadata_key(field: str) -> str:
    """ "meta.year" and "year" are the same key."""
    return field.removeprefix("meta.")
