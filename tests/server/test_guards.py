"""Guards: are repeated writes done once, too many calls sent away, and calls under way waited for?"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from nearrow.errors import InvalidArgumentError, UnavailableError
from nearrow.server.gate import Gate
from nearrow.server.ledger import Ledger


def test_write_with_the_same_request_is_done_once() -> None:
    ledger, done = Ledger(), []
    for _ in range(3):
        assert ledger.once("docs", "r1", lambda: done.append(1) or len(done)) == 1
    assert ledger.once("other", "r1", lambda: done.append(2) or 7) == 7
    assert ledger.once("docs", None, lambda: 8) == ledger.once("docs", None, lambda: 8) == 8
    assert done == [1, 2]


def test_failure_is_not_remembered() -> None:
    ledger = Ledger()

    def fail() -> int:
        raise InvalidArgumentError("no")

    with pytest.raises(InvalidArgumentError):
        ledger.once("docs", "r1", fail)
    assert ledger.once("docs", "r1", lambda: 3) == 3


def test_second_attempt_waits_for_the_first() -> None:
    ledger, begun, go_on = Ledger(), threading.Event(), threading.Event()
    results: list[int] = []

    def slow() -> int:
        begun.set()
        assert go_on.wait(20)
        return 5

    first = threading.Thread(target=lambda: results.append(ledger.once("docs", "r1", slow)))
    first.start()
    assert begun.wait(20)
    second = threading.Thread(target=lambda: results.append(ledger.once("docs", "r1", lambda: 99)))
    second.start()
    go_on.set()
    first.join(20)
    second.join(20)
    assert results == [5, 5]


def test_oldest_requests_are_forgotten() -> None:
    ledger = Ledger(remembered_max=2)
    for name in ("a", "b", "c"):
        ledger.once("docs", name, lambda: 1)
    assert ledger.once("docs", "c", lambda: 2) == 1
    assert ledger.once("docs", "a", lambda: 2) == 2


def test_gate_sends_away_what_is_too_much() -> None:
    gate = Gate(calls_max=2, memory_bytes_max=None)
    gate.enter()
    gate.enter()
    with pytest.raises(UnavailableError, match="try again"):
        gate.enter()
    gate.leave()
    gate.enter()
    full = Gate(calls_max=2, memory_bytes_max=1000, memory=lambda: 1001)
    with pytest.raises(UnavailableError, match="memory"):
        full.enter()


def test_drain_waits_for_what_is_worked_on_and_for_nothing_else() -> None:
    gate = Gate(calls_max=9, memory_bytes_max=None)
    gate.enter()  # a stream that is idle
    gate.begin_work()
    assert not gate.drain(0)
    with pytest.raises(UnavailableError, match="about to stop"):
        gate.enter()
    gate.end_work()
    assert gate.drain(0)


def test_stream_is_worked_on_between_its_messages_only() -> None:
    gate = Gate(calls_max=9, memory_bytes_max=None)
    with gate.stream() as turn:
        turn.begin()
        assert gate.busy == 1
        assert not gate.drain(0)
        turn.end()
        assert gate.drain(0)
        with pytest.raises(UnavailableError, match="about to stop"):
            turn.begin()
        assert gate.busy == 0
    with suppress(UnavailableError), Gate(calls_max=9, memory_bytes_max=None).stream() as turn:
        turn.begin()
        raise UnavailableError("the stream ends in the middle of its work")
    assert gate.busy == 0


def test_drain_notices_a_stream_that_ends_its_work() -> None:
    gate = Gate(calls_max=9, memory_bytes_max=None)
    with gate.stream() as turn, ThreadPoolExecutor(1) as pool:
        turn.begin()
        drained = pool.submit(gate.drain, 20)
        while not gate.draining:
            pass
        turn.end()
        assert drained.result()
