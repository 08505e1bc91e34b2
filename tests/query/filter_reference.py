"""The reference: filters in plain Python, row by row, and the rows and filters that Hypothesis makes of them.

Slow and obvious on purpose. The dict spelling has two truth values, SQL and pyarrow have three (None is "unknown").
"""

from __future__ import annotations

import math
import re
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("n", pa.int64()),
        ("x", pa.float64()),
        ("s", pa.string()),
        ("b", pa.bool_()),
        ("t", pa.timestamp("us")),
        ("tags", pa.list_(pa.string())),
        ("nums", pa.list_(pa.int64())),
        ("p", pa.struct([("n", pa.int64()), ("q", pa.struct([("s", pa.string())]))])),
        ("late", pa.null()),
    ]
)
WORDS = ["", "a", "ab", "b", "noun", "noun.plant", "noun.person", "verb.weather", "abcdefgh", "é", "a%b", "a_b", "A\nb"]
NUMBERS = [-3, 0, 1, 2, 2**53 + 1, -(2**63), 2**63 - 1]
FLOATS = [-1.5, -0.0, 0.0, 0.5, 1.0, 2.0, 1e300, math.inf, math.nan]
TIMES = ["2020-01-01T00:00:00", "2020-01-01T00:00:01", "2021-06-01T12:00:00", "1969-12-31T23:59:59"]


def or_null(values: list[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), st.sampled_from(values))


def rows() -> st.SearchStrategy[list[dict[str, Any]]]:
    words, numbers = or_null(WORDS), or_null(NUMBERS)
    inner = st.one_of(st.none(), st.fixed_dictionaries({"s": words}))
    row = st.fixed_dictionaries(
        {
            "id": st.sampled_from(WORDS[1:]),
            "n": numbers,
            "x": or_null(FLOATS),
            "s": words,
            "b": or_null([True, False]),
            "t": or_null([pa.scalar(0, pa.timestamp("us")).as_py().fromisoformat(t) for t in TIMES]),
            "tags": st.one_of(st.none(), st.lists(words, max_size=3)),
            "nums": st.one_of(st.none(), st.lists(numbers, max_size=3)),
            "p": st.one_of(st.none(), st.fixed_dictionaries({"n": numbers, "q": inner})),
        }
    )
    return st.lists(row, max_size=20)


def table_of(rows: list[dict[str, Any]], chunk_rows: int) -> pa.Table:
    table = pa.Table.from_pylist([row | {"late": None} for row in rows], schema=SCHEMA)
    pieces = [table.slice(at, chunk_rows) for at in range(0, len(table), chunk_rows)]
    return pa.concat_tables(pieces) if pieces else table


def value_at(row: dict[str, Any], path: str) -> Any:
    value: Any = row
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


# ---- dict spelling: two values
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "n": st.sampled_from([*NUMBERS, 0.5, 2.0, -1e30]),
    "x": st.sampled_from([0, 1, -0.0, 0.5, 2**53 + 1, math.inf, 1e300]),
    "s": st.sampled_from(WORDS),
    "id": st.sampled_from(WORDS),
    "t": st.sampled_from(TIMES),
    "p.n": st.sampled_from(NUMBERS),
    "p.q.s": st.sampled_from(WORDS),
}
STRINGS = ("s", "id", "p.q.s")
LISTS = {"tags": st.sampled_from(WORDS), "nums": st.sampled_from(NUMBERS)}


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    path = draw(st.sampled_from([*SCALARS, "b", *LISTS, "late"]))
    if path in LISTS:
        values = LISTS[path]
        choice = draw(st.sampled_from(["$contains", "$any", "$all", "every", "some", "$exists"]))
        if choice in ("every", "some"):
            element = {draw(st.sampled_from(["$eq", "$ne", "$gt", "$lte"])): draw(values)}
            return {path: {"$all" if choice == "every" else "$any": element}}
        operand = draw({"$contains": values, "$exists": st.booleans()}.get(choice, st.lists(values, max_size=3)))
        return {path: {choice: operand}}
    if path == "b":
        return {path: draw(st.sampled_from([True, False, None, {"$ne": True}, {"$in": [True, None]}]))}
    if path == "late":
        return {path: draw(st.sampled_from([None, {"$exists": True}, {"$ne": 5}, {"$gt": 1}, {"$in": ["a", None]}]))}
    return {path: draw(st.one_of(SCALARS[path], operator_dicts(path)))}


@st.composite
def operator_dicts(draw: st.DrawFn, path: str) -> dict[str, Any]:
    values = SCALARS[path]
    simple = ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]
    names = [*simple, "$between", "$in", "$nin", "$exists", "$not"]
    if path in STRINGS:
        names += ["$contains", "$startsWith", "$endsWith", "$like", "$regex"]
    operators = {}
    for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True)):
        if name == "$between":
            operators[name] = [draw(values), draw(values)]
        elif name in ("$in", "$nin"):
            operators[name] = draw(st.lists(st.one_of(st.none(), values), max_size=4))
        elif name == "$exists":
            operators[name] = draw(st.booleans())
        elif name == "$not":
            operators[name] = {draw(st.sampled_from(simple)): draw(values)}
        elif name == "$like":
            operators[name] = draw(st.sampled_from(["%", "a%", "%b", "_", "noun%", "a\\%b", "", "%n_u%"]))
        elif name == "$regex":
            operators[name] = draw(st.sampled_from(["^a", "b$", "n.*p", "[ab]", ""]))
        else:
            operators[name] = draw(values)
    return operators


def clauses() -> st.SearchStrategy[dict[str, Any]]:
    def wider(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
        many = st.lists(inner, min_size=1, max_size=3)
        return st.one_of(
            st.builds(lambda key, value: {key: value}, st.sampled_from(["$and", "$or", "$nor"]), many),
            st.builds(lambda value: {"$not": value}, inner),
            st.builds(lambda left, right: {**left, **right}, inner, inner),
        )

    return st.recursive(conditions(), wider, max_leaves=6)


def matches(clause: dict[str, Any], row: dict[str, Any]) -> bool:
    return all(_entry_matches(key, value, row) for key, value in clause.items())


def _entry_matches(key: str, value: Any, row: dict[str, Any]) -> bool:
    if key == "$and":
        return all(matches(clause, row) for clause in value)
    if key == "$or":
        return any(matches(clause, row) for clause in value)
    if key == "$nor":
        return not any(matches(clause, row) for clause in value)
    if key == "$not":
        return not matches(value, row)
    return value_matches(value if isinstance(value, dict) else {"$eq": value}, value_at(row, key))


def value_matches(operators: dict[str, Any], value: Any) -> bool:
    return all(_operator_matches(name, operand, value) for name, operand in operators.items())


def _operator_matches(name: str, operand: Any, value: Any) -> bool:
    if name == "$not":
        return not value_matches(operand, value)
    if name == "$ne":
        return not _operator_matches("$eq", operand, value)
    if name == "$nin":
        return not _operator_matches("$in", operand, value)
    if name == "$exists":
        return (value is not None) == operand
    if name == "$eq" and operand is None:
        return value is None
    if name == "$in":
        return any(_operator_matches("$eq", one, value) for one in operand)
    if value is None:
        return False
    if name == "$all" and isinstance(operand, list):
        return bool(operand) and all(one in value for one in operand)
    if name == "$all":
        return all(value_matches(operand, one) for one in value)
    if name == "$any":
        return any(one in operand if isinstance(operand, list) else value_matches(operand, one) for one in value)
    if name == "$between":
        return _operator_matches("$gte", operand[0], value) and _operator_matches("$lte", operand[1], value)
    if isinstance(operand, str) and hasattr(value, "isoformat"):
        operand = value.fromisoformat(operand)
    tests = {
        "$eq": lambda: value == operand,
        "$gt": lambda: value > operand,
        "$gte": lambda: value >= operand,
        "$lt": lambda: value < operand,
        "$lte": lambda: value <= operand,
        "$contains": lambda: operand in value,
        "$startsWith": lambda: value.startswith(operand),
        "$endsWith": lambda: value.endswith(operand),
        "$like": lambda: like(operand, value),
        "$regex": lambda: re.search(operand.replace("$", r"\Z"), value) is not None,
    }
    return bool(tests[name]())


def like(pattern: str, value: str) -> bool:
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    return re.fullmatch("".join(wild.get(p, re.escape(p[-1])) for p in parts), value, re.DOTALL) is not None


# ---- SQL and pyarrow: three values (None is unknown)
Truth = bool | None


def negation(truth: Truth) -> Truth:
    return None if truth is None else not truth


def conjunction(truths: list[Truth]) -> Truth:
    return False if False in truths else None if None in truths else True


def disjunction(truths: list[Truth]) -> Truth:
    return negation(conjunction([negation(truth) for truth in truths]))


def compared(operation: str, value: Any, operand: Any, *, nan_is_greatest: bool) -> Truth:
    if value is None or operand is None:
        return None
    if nan_is_greatest and isinstance(value, float) and math.isnan(value):
        return operation in (">", ">=", "<>")
    tests = {"=": value == operand, "<>": value != operand, ">": value > operand, ">=": value >= operand}
    return bool({**tests, "<": value < operand, "<=": value <= operand}[operation])
