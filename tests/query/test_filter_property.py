"""Filters: do random filters over random rows find what plain Python finds, in every spelling, under its own null rule?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from filter_reference import (
    NUMBERS,
    SCHEMA,
    WORDS,
    Truth,
    clauses,
    compared,
    conjunction,
    disjunction,
    matches,
    negation,
    rows,
    table_of,
    value_at,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from nearrow.analytics.sql_filter import SqlFilterEngine
from nearrow.query.filter import bits, evaluate, parse_filter, prune
from nearrow.query.filter.numbered import ValuesCache, few_values
from nearrow.segment.zones import ZoneBuilder, Zones

SQL = SqlFilterEngine(threads=1)
Reference = Callable[[dict[str, Any]], Truth]


def found(where: Any, table: pa.Table) -> list[int]:
    parsed = parse_filter(where, SCHEMA, SQL)
    assert parse_filter(where, SCHEMA, SQL).key == parsed.key
    packed = evaluate(parsed, table, SQL)
    assert len(packed) == (len(table) + 7) // 8
    positions = [int(i) for i in bits.unpack(packed, len(table)).nonzero()[0]]
    assert bits.count(packed) == len(positions), "bits past the last row must be zero"
    check_pruning(parsed, table, len(positions))
    values = partial(few_values, ValuesCache(), "part", table, rows_min=1)
    told = evaluate(parsed, table, SQL, lambda field, _: values(field, False))
    assert told.tolist() == packed.tolist(), "asked once for each value, another answer"
    return positions


def check_pruning(parsed: Any, table: pa.Table, count: int) -> None:
    builder = ZoneBuilder()
    for batch in table.to_batches():
        builder.add(batch)
    zones = Zones(builder.to_bytes(), rows=len(table), name="zones")
    verdict = prune(parsed, zones.get)
    if len(table):
        assert verdict == "some" or count == (0 if verdict == "none" else len(table))


@settings(max_examples=400)
@given(rows(), clauses(), st.integers(1, 9))
def test_dict_filters_find_what_python_finds(
    data: list[dict[str, Any]], where: dict[str, Any], chunk_rows: int
) -> None:
    expected = [i for i, row in enumerate(data) if matches(where, row | {"late": None})]
    assert found(where, table_of(data, chunk_rows)) == expected


# One generator for both: (SQL text, pyarrow expression, what Python says), so that all three can be compared.
Spelled = tuple[str, pc.Expression, Reference, Reference]
SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "=": lambda a, b: a == b, "<>": lambda a, b: a != b, ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
}  # fmt: skip
OPERANDS: dict[str, list[Any]] = {
    "n": [n for n in NUMBERS if abs(n) < 2**62], "x": [-1.5, 0.0, 0.5, 2.0], "s": WORDS, "p.n": [0, 1, 2], "p.q.s": WORDS,
}  # fmt: skip


def sql_literal(value: Any) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


def reference_of(path: str, test: Callable[[Any, bool], Truth]) -> tuple[Reference, Reference]:
    return (lambda row: test(value_at(row, path), True)), (lambda row: test(value_at(row, path), False))


@st.composite
def spelled_leaves(draw: st.DrawFn) -> Spelled:
    path = draw(st.sampled_from([*OPERANDS, "b"]))
    field = pc.field(*path.split("."))
    if path == "b":
        return ("b", field, *reference_of(path, lambda value, _: value))
    kind = draw(st.sampled_from(["compare", "in", "null", "between"]))
    values = OPERANDS[path]
    if kind == "null":
        return (f"{path} IS NULL", field.is_null(), *reference_of(path, lambda value, _: value is None))
    if kind == "in":
        chosen = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3))
        # pyarrow's is_in is false, not unknown, for null: the one place where it is two-valued
        sql = f"{path} IN ({', '.join(map(sql_literal, chosen))})"
        in_sql = lambda row: None if value_at(row, path) is None else value_at(row, path) in chosen  # noqa: E731
        in_arrow = lambda row: value_at(row, path) in chosen  # noqa: E731
        expression = disjunction_of([field == one for one in chosen]) if path == "x" else field.isin(chosen)
        return sql, expression, in_sql, in_sql if path == "x" else in_arrow
    if kind == "between":
        low, high = draw(st.sampled_from(values)), draw(st.sampled_from(values))
        within = lambda value, nan: conjunction(  # noqa: E731
            [compared(">=", value, low, nan_is_greatest=nan), compared("<=", value, high, nan_is_greatest=nan)]
        )
        sql = f"{path} BETWEEN {sql_literal(low)} AND {sql_literal(high)}"
        return (sql, (field >= low) & (field <= high), *reference_of(path, within))
    sign, operand = draw(st.sampled_from(list(SIGNS))), draw(st.sampled_from(values))
    test = lambda value, nan: compared(sign, value, operand, nan_is_greatest=nan)  # noqa: E731
    return (f"{path} {sign} {sql_literal(operand)}", SIGNS[sign](field, operand), *reference_of(path, test))


def disjunction_of(expressions: list[pc.Expression]) -> pc.Expression:
    whole = expressions[0]
    for one in expressions[1:]:
        whole = whole | one
    return whole


def combined(joint: str, left: Spelled, right: Spelled) -> Spelled:
    join = conjunction if joint == "AND" else disjunction
    return (
        f"({left[0]}) {joint} ({right[0]})",
        left[1] & right[1] if joint == "AND" else left[1] | right[1],
        lambda row: join([left[2](row), right[2](row)]),
        lambda row: join([left[3](row), right[3](row)]),
    )


def negated(one: Spelled) -> Spelled:
    return f"NOT ({one[0]})", ~one[1], lambda row: negation(one[2](row)), lambda row: negation(one[3](row))


def spelled() -> st.SearchStrategy[Spelled]:
    def wider(inner: st.SearchStrategy[Spelled]) -> st.SearchStrategy[Spelled]:
        return st.one_of(st.builds(combined, st.sampled_from(["AND", "OR"]), inner, inner), st.builds(negated, inner))

    return st.recursive(spelled_leaves(), wider, max_leaves=5)


@settings(max_examples=200)
@given(rows(), spelled(), st.integers(1, 9))
def test_sql_filters_keep_three_valued_logic(data: list[dict[str, Any]], one: Spelled, chunk_rows: int) -> None:
    table = table_of(data, chunk_rows)
    expected = [i for i, row in enumerate(data) if one[2](row) is True]
    assert found(one[0], table) == expected
    # the same, but so that nothing is translated and DuckDB evaluates all of it
    assert found(f"coalesce(({one[0]}), false)", table) == expected


@settings(max_examples=200)
@given(rows(), spelled(), st.integers(1, 9))
def test_pyarrow_filters_keep_three_valued_logic(data: list[dict[str, Any]], one: Spelled, chunk_rows: int) -> None:
    expected = [i for i, row in enumerate(data) if one[3](row) is True]
    assert found(one[1], table_of(data, chunk_rows)) == expected
