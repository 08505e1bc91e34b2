"""Compact exchange: is a plain search in the fewest bytes the same search, and is what is wrong said in the same way?"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import flight

import nearrow
from nearrow.errors import InvalidArgumentError, NearrowError
from nearrow.query.query import VectorQuery
from nearrow.server.limits import Limits
from nearrow.server.running import Server
from nearrow.server.settings import ServerSettings
from nearrow.server.transport import EXPERIMENTS, WAITING_THREADS_READ, shortest_way
from nearrow.server.wire.compact import SETTINGS, pack_answer, pack_question, unpack_answer, unpack_question
from nearrow.server.wire.requests import COMPACT, ExchangeCommand

DIMENSION = 4
POINTS = np.random.default_rng(8).standard_normal((40, DIMENSION)).astype(np.float32)
IDS: dict[str, list[Any]] = {
    "texts": [f"id {number}" + "é" * (number % 3) for number in range(40)],
    "integers": [number - 20 for number in range(40)],
}
QUESTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "k": {"k": 3},
    "exact": {"exact": True},
    "beam": {"ef_search": 30},
    "recall": {"target_recall": 0.99},
    "within": {"within": 0.8, "k": None},
    "filter": {"where": {"year": {"$lt": 2010}}},
    "nothing": {"where": {"year": 1}},
    "SQL filter": {"where": "year > 2010 AND year < 2030"},
}


LIE = ("one segment", "one segment with gaps", "a memtable, too")


@pytest.fixture(params=[(ids, metric, lie) for ids in IDS for metric in ("l2", "cosine", "dot") for lie in LIE])
def points(request: pytest.FixtureRequest, server: Server, remote: nearrow.Database) -> nearrow.Collection:
    """40 rows; the last ones in a memtable beside a segment, or all of them in one segment with a graph."""
    ids, metric, lie = request.param
    made: nearrow.Collection = remote.create_collection("points", dimension=DIMENSION, metric=metric, graph_rows_min=1)
    metadata = [{"year": 2000 + number} for number in range(40)]
    made.add(ids=IDS[ids][:30], vectors=POINTS[:30], metadata=metadata[:30])
    made.compact()
    made.add(ids=IDS[ids][30:], vectors=POINTS[30:], metadata=metadata[30:])
    if lie == "one segment with gaps":
        made.delete(IDS[ids][7:9])
    if lie != "a memtable, too":
        made.compact()
        part = server.database.collection("points")._view().parts[0]
        assert part.segment._gapless == (lie == "one segment")
    return made


def assert_same(ours: nearrow.Hits, theirs: nearrow.Hits) -> None:
    assert ours.ids.tolist() == theirs.ids.tolist()
    assert ours.distances.tobytes() == theirs.distances.tobytes()
    assert ours.scores.tobytes() == theirs.scores.tobytes()
    assert ours.cursor == theirs.cursor
    assert ours.to_arrow().equals(theirs.to_arrow())
    assert ours.keys() == theirs.keys() == []


def test_both_forms_and_the_collection_itself_give_equal_answers(points: nearrow.Collection, server: Server) -> None:
    here = server.database.collection("points")
    for settings in QUESTIONS.values():
        for vector in POINTS[:3]:
            ours, expected = points.search(vector, columns=[], **settings), here.search(vector, **settings)
            other = points.search(vector, columns=["year"], **settings)
            assert ours.ids.tolist() == other.ids.tolist() == expected.ids.tolist()
            assert ours.ids.dtype == expected.ids.dtype or len(ours) == 0
            assert ours.cursor == other.cursor == expected.cursor
            for name in ("distances", "scores"):
                assert (
                    getattr(ours, name).tobytes() == getattr(other, name).tobytes() == getattr(expected, name).tobytes()
                )
        several = points.search(POINTS[:5], columns=[], **settings)
        for ours, theirs in zip(several, here.search(POINTS[:5], columns=[], **settings), strict=True):
            assert ours.ids.tolist() == theirs.ids.tolist()
            assert ours.cursor == theirs.cursor
            assert ours.scores.tobytes() == theirs.scores.tobytes()


def test_one_filter_for_each_query_and_one_that_finds_nothing(points: nearrow.Collection) -> None:
    where = [{"year": 1}, {"year": {"$gte": 2030}}, None]
    for columns in ([], ["year"]):
        found = points.search(POINTS[:3], k=4, where=where, columns=columns)
        assert [len(hits) for hits in found] == [0, 4, 4]
        kinds = {type(one) for hits in found for one in hits.ids.tolist()}
        assert kinds in ({int}, {str})
        assert len(points.search(POINTS[:1], where=where[1:2], columns=columns)) == 1
    pages = points.search(POINTS[0], k=3, columns=[])
    assert (
        points.search(POINTS[0], k=6, columns=[]).ids.tolist()[3:]
        == points.search(POINTS[0], k=3, columns=[], after=pages.cursor).ids.tolist()
    )


def test_more_queries_than_a_message_takes(points: nearrow.Collection, server: Server) -> None:
    queries = np.random.default_rng(1).standard_normal((600, DIMENSION)).astype(np.float32)
    expected = server.database.collection("points").search(queries, k=2)
    for ours, theirs in zip(points.search(queries, k=2, columns=[]), expected, strict=True):
        assert ours.ids.tolist() == theirs.ids.tolist()
    assert points.search(np.empty((0, DIMENSION), np.float32), columns=[]) == []


WRONG: dict[str, tuple[type[NearrowError], Any, dict[str, Any]]] = {
    "dimension": (nearrow.DimensionMismatchError, POINTS[0][:3], {}),
    "NaN": (nearrow.InvalidArgumentError, np.full(DIMENSION, np.nan, np.float32), {}),
    "k": (nearrow.InvalidArgumentError, POINTS[0], {"k": 0}),
    "beam": (nearrow.InvalidArgumentError, POINTS[0], {"ef_search": [3]}),
    "field": (nearrow.FilterError, POINTS[0], {"where": {"colour": "red"}}),
    "value": (nearrow.FilterError, POINTS[0], {"where": object()}),
    "filters": (nearrow.InvalidArgumentError, POINTS[:2], {"where": [None]}),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_as_a_directory_says_it(name: str, remote: nearrow.Database) -> None:
    docs = remote.create_collection("docs", dimension=DIMENSION)
    docs.add(ids=["a"], vectors=POINTS[:1])
    kind, vector, settings = WRONG[name]
    for _ in range(2):  # on a new stream, and on one that is open
        with pytest.raises(kind):
            docs.search(vector, columns=[], **settings)
        assert docs.search(POINTS[0], columns=[]).ids.tolist() == ["a"]
    assert docs.search(POINTS[0], columns=[]).ids.tolist() == ["a"]


def test_collection_that_was_dropped_is_not_found(remote: nearrow.Database) -> None:
    docs = remote.create_collection("docs", dimension=DIMENSION)
    docs.add(ids=["a"], vectors=POINTS[:1])
    assert len(docs.search(POINTS[0], columns=[])) == 1
    remote.drop_collection("docs")
    with pytest.raises(nearrow.NotFoundError):
        docs.search(POINTS[0], columns=[])


def test_collection_that_was_made_anew_is_the_one_that_answers(remote: nearrow.Database) -> None:
    found = []
    for ids in (["old"], ["new"]):
        docs = remote.create_collection("docs", dimension=DIMENSION, graph_rows_min=1)
        docs.add(ids=ids, vectors=POINTS[:1])
        docs.compact()
        found += [docs.search(POINTS[0], columns=[]).ids.tolist() for _ in range(2)]
        if ids == ["old"]:
            remote.drop_collection("docs")
    assert found == [["old"], ["old"], ["new"], ["new"]]


@pytest.mark.parametrize("ids", IDS)
def test_answer_of_the_kernel_is_the_one_of_python(ids: str, server: Server) -> None:
    here = server.database.create_collection("points", dimension=DIMENSION, metric="l2", graph_rows_min=1)
    here.add(ids=IDS[ids], vectors=POINTS, metadata=[{"year": 2000 + number} for number in range(40)])
    assert here._search_packed(POINTS[0], VectorQuery(), None) is None  # a memtable has no graph
    here.compact()
    here.search(POINTS[0])
    before = here.stats().operations["search"].calls
    for k in (1, 10, 40, 100):
        for where in (None, {"year": {"$lt": 2003}}):
            packed = here._search_packed(POINTS[0], VectorQuery(k), where)
            assert packed == pack_answer([here.search(POINTS[0], k=k, where=where)])
    assert here.stats().operations["search"].calls == before + 16
    for vector, query, where in [
        (np.full(DIMENSION, np.nan, np.float32), VectorQuery(), None),
        (POINTS[0][:3], VectorQuery(), None),
        (POINTS[0], VectorQuery(exact=True), None),
        (POINTS[0], VectorQuery(within=1.0), None),
        (POINTS[0], VectorQuery(), {"year": 1}),
    ]:
        assert here._search_packed(vector, query, where) is None
    with pytest.raises(nearrow.FilterError):
        here._search_packed(POINTS[0], VectorQuery(), {"colour": 1})


# ---- a client that knows the page, and nothing else


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Server]:
    limits = Limits(k=100, queries=8, hits=200, message_bytes=1 << 12, request_bytes=1 << 8)
    with Server(ServerSettings(str(tmp_path / "library"), port=0, limits=limits, drain_seconds=5)) as server:
        docs = server.database.create_collection("docs", dimension=2, metric="l2")
        docs.add(ids=["a", "bé", "c"], vectors=[[0, 0], [1, 0], [0, 2]])
        yield server


@pytest.fixture
def stream(limited: Server) -> Iterator[Any]:
    with flight.FlightClient(limited.location) as client:
        writer, reader = client.do_exchange(
            flight.FlightDescriptor.for_command(b'{"collection": "docs", "form": "compact"}')
        )
        yield lambda message: (writer.write_metadata(message), reader.read_chunk().app_metadata.to_pybytes())[1]


def test_answer_lies_as_the_page_says(stream: Any) -> None:
    question = struct.pack("<II4f", 2, 2, 0, 0, 0, 2)
    answer = stream(question + b'{"k": 2}')
    assert struct.unpack_from("<4I", answer) == (2, 4, 1, 0)
    ends = struct.unpack_from("<4I", answer, 16)
    assert struct.unpack_from("<4f", answer, 32) == (0, 1, 0, 4)
    assert struct.unpack_from("<2I", answer, 48) == (2, 2)
    cursors = [answer[56:88].decode(), answer[88:120].decode()]
    texts = answer[120:]
    assert [texts[start:end].decode() for start, end in zip((0, *ends), ends, strict=False)] == ["a", "bé", "c", "a"]
    assert [hits.cursor for hits in unpack_answer(answer, "l2")] == cursors
    assert stream(question) == answer  # without JSON: as before


BAD_MESSAGES = {
    "short": (b"\x01\0\0\0", "begins with 8 bytes"),
    "no query": (struct.pack("<II", 0, 2), "does not hold"),
    "cut off": (struct.pack("<IIf", 1, 2, 0), "does not hold"),
    "huge": (struct.pack("<II", 2**32 - 1, 2**32 - 1), "does not hold"),
    "no JSON": (struct.pack("<II2f", 1, 2, 0, 0) + b"{", "not JSON"),
    "no object": (struct.pack("<II2f", 1, 2, 0, 0) + b"3", "a request is a JSON object"),
    "columns": (struct.pack("<II2f", 1, 2, 0, 0) + b'{"columns": []}', "a compact question has no 'columns'"),
    "text": (struct.pack("<II2f", 1, 2, 0, 0) + b'{"text": "x"}', "a compact question has no 'text'"),
    "k": (struct.pack("<II2f", 1, 2, 0, 0) + b'{"k": 101}', "the server takes 100"),
    "hits": (struct.pack("<II8f", 4, 2, *range(8)) + b'{"k": 100}', "more than 200 rows in one answer"),
    "queries": (struct.pack("<II18f", 9, 2, *range(18)), "9 queries in one message"),
    "long question": (struct.pack("<II2f", 1, 2, 0, 0) + b" " * 257, "the request has 257 bytes"),
    "long message": (struct.pack("<II", 1, 2) + bytes(1 << 12), "send smaller batches"),
    "NaN": (struct.pack("<II2f", 1, 2, float("nan"), 0), "NaN or infinity"),
    "dimension": (struct.pack("<II3f", 1, 3, 0, 0, 0), "3 dimensions"),
}


@pytest.mark.parametrize("name", BAD_MESSAGES)
def test_bad_message_ends_the_stream_with_a_typed_error(name: str, stream: Any, limited: Server) -> None:
    message, said = BAD_MESSAGES[name]
    with pytest.raises(flight.FlightServerError, match=said) as raised:
        stream(message)
    assert json.loads(raised.value.extra_info)["error"] in ("InvalidArgumentError", "DimensionMismatchError")
    with nearrow.connect(limited.location) as db:
        assert db.collection("docs").search([0.0, 0.0], k=1, columns=[]).ids.tolist() == ["a"]
    assert limited.gate.busy == 0


def test_batch_on_a_compact_stream_is_refused(limited: Server) -> None:
    with flight.FlightClient(limited.location) as client:
        writer, reader = client.do_exchange(ExchangeCommand("docs", COMPACT).to_descriptor())
        batch = pa.record_batch({"vector": pa.array([[0.0, 0.0]], pa.list_(pa.float32(), 2))})
        writer.begin(batch.schema)
        writer.write_batch(batch)
        with pytest.raises(flight.FlightServerError, match="this message has none"):
            reader.read_chunk()


def test_question_is_refused_when_the_server_is_about_to_stop(stream: Any, limited: Server) -> None:
    question = struct.pack("<II2f", 1, 2, 0, 0)
    stream(question)
    assert limited.gate.drain(5)
    with pytest.raises(flight.FlightUnavailableError, match="about to stop"):
        stream(question)


def test_unknown_form_is_refused() -> None:
    command = ExchangeCommand("docs", COMPACT)
    assert ExchangeCommand.from_descriptor(command.to_descriptor()) == command
    assert ExchangeCommand.from_descriptor(flight.FlightDescriptor.for_path("docs")).form == "batches"
    for wrong in (
        b'{"collection": "docs", "form": "tiny"}',
        b'{"collection": "docs", "shape": 1}',
        b'{"collection": 1}',
    ):
        with pytest.raises(InvalidArgumentError):
            ExchangeCommand.from_descriptor(flight.FlightDescriptor.for_command(wrong))


def test_page_shows_what_a_compact_question_may_say() -> None:
    page = (Path(__file__).parents[2] / "docs/protocol.md").read_text()
    compact = page[page.index("### The compact form") : page.index("## Errors")]
    assert all(f"`{name}`" in compact for name in SETTINGS)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_question_or_a_typed_error(data: bytes) -> None:
    try:
        vectors, question = unpack_question(pa.py_buffer(data))
    except InvalidArgumentError:
        return
    assert pack_question(vectors, question) == data


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_a_typed_error(data: bytes) -> None:
    try:
        found = unpack_answer(data, "l2")
    except NearrowError:
        return
    assert sum(map(len, found)) == struct.unpack_from("<4I", data)[1]


def test_variables_of_the_transport_are_set_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in WAITING_THREADS_READ:
        monkeypatch.delenv(name, raising=False)
    with shortest_way():
        assert dict(WAITING_THREADS_READ).items() <= os.environ.items()
    assert not WAITING_THREADS_READ.keys() & os.environ.keys()
    monkeypatch.setenv(EXPERIMENTS, "mine")
    with shortest_way():
        assert WAITING_THREADS_READ.keys() & os.environ.keys() == {EXPERIMENTS}
    assert os.environ[EXPERIMENTS] == "mine"


def test_refused_connection_is_noticed_and_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    address = f"grpc://127.0.0.1:{port}"
    with nearrow.connect(address, deadline_seconds=2) as db, pytest.raises(nearrow.UnavailableError, match="refused"):
        db.collections()
