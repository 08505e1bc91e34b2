"""Wire: does what goes in at one side come out at the other, and is everything else refused?"""

from __future__ import annotations

import datetime
import json
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import flight

import nearrow
from nearrow import errors
from nearrow.errors import FilterError, InvalidArgumentError, NearrowError
from nearrow.index.text import RebuildNeededError
from nearrow.server.wire.errors import from_flight, is_transport, to_flight
from nearrow.server.wire.questions import question, settings_of
from nearrow.server.wire.records import record_dict, record_of
from nearrow.server.wire.requests import PutCommand, ticket, ticket_of
from nearrow.server.wire.transactions import pack, unpack
from nearrow.server.wire.values import dumps, loads
from nearrow.write.report import Lost, Problem, Repair, Report

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.dates(),
    st.datetimes(timezones=st.sampled_from([None, datetime.UTC])),
    st.times(),
    st.timedeltas(),
    st.decimals(allow_nan=False, allow_infinity=False),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(alphabet="abc", min_size=1), inner, max_size=4),
        st.dictionaries(st.one_of(st.integers(), st.dates(), st.booleans()), inner, min_size=1, max_size=4),
    ),
    max_leaves=12,
)


@given(VALUES)
def test_values_come_out_as_they_went_in(value: Any) -> None:
    packed = dumps(value)
    json.loads(packed)  # it is JSON that others can read
    found = loads(packed)
    assert found == value
    assert type(found) is type(value)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_typed_error(data: bytes) -> None:
    with suppress(InvalidArgumentError, FilterError):  # any other error fails the test
        loads(data)


def test_arrays_keep_their_type_and_shape() -> None:
    for kind in ("float16", "float32", "float64", "int64", "uint8"):
        array = np.arange(6, dtype=kind).reshape(2, 3)
        found = loads(dumps(array))
        assert found.dtype == array.dtype
        assert np.array_equal(found, array)
    assert np.isnan(loads(dumps(float("nan"))))
    assert loads(dumps([np.float32(1.5), np.int64(3), pa.scalar("x")])) == [1.5, 3, "x"]
    with pytest.raises(InvalidArgumentError, match="cannot be sent"):
        dumps(object())


@given(st.data())
def test_damaged_expression_is_a_filter_error(data: Any) -> None:
    whole = bytearray(bytes((pc.field("year") > 3).__reduce__()[1][0]))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    try:
        found = loads(dumps({"x": bytes(whole)}).replace(b"$base64", b"$expression"))["x"]
    except FilterError:
        return
    assert isinstance(found, pc.Expression)


@pytest.mark.parametrize("name", [*errors.__all__, "NearrowError"])
def test_error_comes_out_as_its_class(name: str) -> None:
    kind = getattr(errors, name)
    found = from_flight(to_flight(kind("what was wrong")))
    assert (type(found), str(found)) == (kind, "what was wrong")
    assert not is_transport(to_flight(kind("what was wrong")))


def test_errors_that_users_do_not_know_come_out_as_one_that_they_do() -> None:
    assert type(from_flight(to_flight(RebuildNeededError("damaged")))) is nearrow.CorruptionError
    hidden = from_flight(to_flight(ZeroDivisionError("a secret path")))
    assert type(hidden) is NearrowError
    assert "secret" not in str(hidden)
    assert type(from_flight(to_flight(pa.ArrowInvalid("bad offsets")))) is InvalidArgumentError
    assert type(from_flight(flight.FlightUnavailableError("gone"))) is nearrow.UnavailableError
    assert is_transport(flight.FlightTimedOutError("late"))
    told = flight.FlightServerError("odd", b'{"error": "SystemExit", "message": "m"}')
    assert type(from_flight(told)) is NearrowError


def test_question_has_only_what_differs_from_the_defaults() -> None:
    from nearrow.server.wire.questions import DEFAULTS

    assert question(DEFAULTS) == {}
    asked = {**DEFAULTS, "k": 3, "fusion": nearrow.Weighted(0.1, 0.9), "text": nearrow.TextQuery("a", ("t",), "and")}
    travelled = settings_of(loads(dumps(question(asked))))
    assert travelled == {"k": 3, "fusion": nearrow.Weighted(0.1, 0.9), "text": nearrow.TextQuery("a", ("t",), "and")}
    for wrong in ({"colour": 1}, {"rerank": 1}, {"query": "x"}, {"fusion": {"x": {}}}, {"text": {"words": 1}}):
        with pytest.raises(InvalidArgumentError):
            settings_of(wrong)


def test_records_come_out_as_they_went_in() -> None:
    report = Report((Problem("a/b", "crc", "rows"),), {"files": 3})
    repair = Repair(("x",), ("y",), (Lost("f", 2, ("a", 1)),), 5, 1, 0, ("note",))
    for record in (report, repair, Repair()):
        assert record_of(type(record), loads(dumps(record_dict(record)))) == record
    newer = {**record_dict(report), "a_field_of_a_newer_server": 1}
    assert record_of(Report, newer) == report


def test_tickets_and_commands_come_out_as_they_went_in() -> None:
    assert ticket_of(ticket("scan", collection="docs", where=None)) == ("scan", {"collection": "docs"})
    command = PutCommand("docs", "add", True, {"metric": "dot"}, "r1")
    assert PutCommand.from_descriptor(command.to_descriptor()) == command
    assert PutCommand.from_descriptor(flight.FlightDescriptor.for_path("docs", "delete")).write == "delete"
    for wrong in ({"write": "burn"}, {"collection": "a/b"}, {"request": "x" * 65}, {"atomic": 1}, {"create": []}):
        with pytest.raises(InvalidArgumentError):
            replace(command, **wrong)


def test_transaction_comes_out_as_it_went_in() -> None:
    rows = pa.table({"id": ["a", "b"], "year": [1, None]})
    assert list(unpack(pack("update", rows))) == [("update", rows)]
    for wrong in (pack("explode", rows), pa.record_batch({"id": ["a"]})):
        with pytest.raises(InvalidArgumentError):
            list(unpack(wrong))
    assert Decimal(1) == loads(dumps(Decimal(1)))
