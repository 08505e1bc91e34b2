"""Facets: how are the rows that match spread over the values of a field?

Three kinds: counts of values, counts of ranges, and the minimum, maximum and average. Nulls are not counted. Of a list,
each row counts once for each different element. Parts are counted on their own and then added up.

The values of a field are numbered once for each immutable part (filter/numbered.py); after that counting is a histogram of
small integers.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from nearrow import compute as pc
from nearrow.errors import FilterError, InvalidArgumentError
from nearrow.index.columns import tally
from nearrow.query.filter import bits as bitmaps
from nearrow.query.filter import operands
from nearrow.query.filter.bits import Bits
from nearrow.query.filter.evaluate import evaluate
from nearrow.query.filter.fields import chunks_of, element_of, resolve
from nearrow.query.filter.numbered import ValuesCache, leaves, numbered_values, values_key
from nearrow.query.filter.tree import And, Field, Filter, Node, Quantified
from nearrow.schema import nearest_name

Part = tuple[pa.Table, Bits | None, Hashable | None]
"""A part's table, the rows to count (None: all), and the key of its immutable rows (None: not to be cached)."""


@dataclass(frozen=True)
class FacetRequest:
    """What to count.

    ranges: ({"from": low, "to": high, "label": name}, …), low included, high not, either may be missing; or pairs.
    stats: minimum, maximum, average and count instead of counts of values. limit: only the most frequent values.
    case_insensitive: strings that differ in case only are one value, shown in its most frequent spelling.
    """

    field: str
    name: str = ""
    ranges: tuple[tuple[str, Any, Any], ...] = ()
    stats: bool = False
    limit: int | None = None
    case_insensitive: bool = False


def parse_request(request: Any) -> FacetRequest:
    """A request from a field's name or a dict of FacetRequest's settings; InvalidArgumentError for an unknown one."""
    if isinstance(request, FacetRequest):
        return request
    if isinstance(request, str):
        return FacetRequest(request, request)
    if not isinstance(request, Mapping) or not isinstance(request.get("field"), str):
        raise InvalidArgumentError(f"a facet is a field's name or a dict with 'field', not {request!r:.60}")
    known = [field.name for field in fields(FacetRequest)]
    for key in request:
        if key not in known:
            raise InvalidArgumentError(f"unknown facet setting {key!r}{nearest_name(str(key), known)}")
    limit = request.get("limit")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise InvalidArgumentError(f"a facet's limit is a positive int or None, not {limit!r}")
    settings = {**request, "name": request.get("name") or request["field"]}
    return FacetRequest(**{**settings, "ranges": tuple(map(_range, request.get("ranges") or ()))})


def _range(given: Any) -> tuple[str, Any, Any]:
    if isinstance(given, (list, tuple)) and len(given) == 2:
        given = {"from": given[0], "to": given[1]}
    if not isinstance(given, Mapping) or not given or set(given) - {"from", "to", "label"}:
        raise InvalidArgumentError(
            f"a facet's range is {{'from': …, 'to': …, 'label': …}} or a pair, not {given!r:.60}"
        )
    low, high = given.get("from"), given.get("to")
    return str(given.get("label") or f"{'*' if low is None else low}..{'*' if high is None else high}"), low, high


FacetCache = ValuesCache


def count_facets(
    requests: Iterable[Any], parts: Sequence[Part], schema: pa.Schema, cache: FacetCache | None = None
) -> dict[str, dict[Any, Any]]:
    """For each request, by its name: {value: count} (most frequent first), {label: count}, or min, max, avg and count.

    Raises FilterError for an unknown field or one that cannot be counted, InvalidArgumentError for a bad request.
    """
    counted: dict[str, dict[Any, Any]] = {}
    for request in map(parse_request, requests):
        if request.name in counted:
            raise InvalidArgumentError(f"two facets are called {request.name!r}; give one of them a name")
        field = resolve(request.field, schema)
        leaf = _leaf_type(field)
        if request.stats:
            counted[request.name] = _stats(field, leaf, parts)
        elif request.ranges:
            counted[request.name] = _range_counts(request, field, parts)
        else:
            counted[request.name] = _value_counts(request, field, leaf, parts, cache)
    return counted


def _leaf_type(field: Field) -> pa.DataType:
    inner = field
    while inner.in_list:
        inner = element_of(inner)
    if pt.is_struct(inner.type):
        raise FilterError(f"field {field.name!r} is {inner.type}; name a field inside it to count, such as "
                          f"'{field.name}.{inner.type.field(0).name if inner.type.num_fields else '…'}'")  # fmt: skip
    return inner.type


def _value_counts(
    request: FacetRequest, field: Field, leaf: pa.DataType, parts: Sequence[Part], cache: FacetCache | None
) -> dict[Any, int]:
    counts: dict[Any, int] = {}
    for table, wanted, key in parts:
        name = values_key(field)
        known = cache.get(key, name) if cache is not None and key is not None else None
        if known is None:
            known = numbered_values(field, leaf, table)
            assert known is not None, "no limit was given"
            if cache is not None and key is not None:
                cache.put_sized(key, name, known, known.nbytes)
        histogram = tally(known.numbers, known.starts, wanted, table.num_rows, len(known.values) + 1)[1:]
        _add(counts, known.values, histogram, None if request.case_insensitive or len(parts) > 1 else request.limit)
    if request.case_insensitive and pt.is_string(leaf):
        counts = _without_case(counts)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
    return dict(ordered[: request.limit])


def _add(counts: dict[Any, int], values: pa.Array, histogram: npt.NDArray[np.int64], limit: int | None) -> None:
    present = np.flatnonzero(histogram)
    if limit is not None and len(present) > limit:  # all that reach the limit-th count, so that ties are told by value
        least = np.partition(histogram[present], -limit)[-limit]
        present = present[histogram[present] >= least]
    for value, count in zip(values.take(pa.array(present)).to_pylist(), histogram[present].tolist(), strict=True):
        counts[value] = counts.get(value, 0) + count


def _without_case(counts: dict[str, int]) -> dict[str, int]:
    spellings: dict[str, list[tuple[int, str]]] = {}
    for value, count in counts.items():
        spellings.setdefault(value.casefold(), []).append((count, value))
    return {
        min(group, key=lambda item: (-item[0], item[1]))[1]: sum(count for count, _ in group)
        for group in spellings.values()
    }


def _range_counts(request: FacetRequest, field: Field, parts: Sequence[Part]) -> dict[str, int]:
    counts = {}
    for label, low, high in request.ranges:
        inside = Filter(_inside(field, low, high))
        total = 0
        for table, wanted, _ in parts:
            found = evaluate(inside, table)
            total += bitmaps.count(found if wanted is None else found & wanted[: len(found)])
        counts[label] = total
    return counts


def _inside(field: Field, low: Any, high: Any) -> Node:
    if field.in_list:
        return Quantified(field, _inside(element_of(field), low, high), every=False)
    bounds = [("gte", low), ("lt", high)]
    return And(tuple(operands.compare(field, operation, value) for operation, value in bounds if value is not None))


def _stats(field: Field, leaf: pa.DataType, parts: Sequence[Part]) -> dict[str, Any]:
    low: Any = None
    high: Any = None
    total, count = 0.0, 0
    averaged = pt.is_integer(leaf) or pt.is_floating(leaf)
    for table, wanted, _ in parts:
        flags = None if wanted is None else bitmaps.unpack(wanted, table.num_rows)
        at = 0
        for chunk in chunks_of(table, field):
            kept = chunk if flags is None else chunk.filter(pa.array(flags[at : at + len(chunk)]))
            at += len(chunk)
            values = pc.drop_null(leaves(kept, field)[0])
            if pt.is_floating(values.type):
                values = values.filter(pc.invert(pc.is_nan(values)))
            if not len(values) or pt.is_null(values.type):
                continue
            bounds = pc.min_max(values).as_py()
            low = bounds["min"] if low is None else min(low, bounds["min"])
            high = bounds["max"] if high is None else max(high, bounds["max"])
            count += len(values)
            if averaged:
                total += float(np.sum(values.to_numpy(zero_copy_only=False), dtype=np.float64))
    return {"min": low, "max": high, "avg": total / count if averaged and count else None, "count": count}
