"""Children: is what a child did known, however it died?"""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from nearrow.testing.children import Child, Report, run_child

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks")


def test_reports_of_a_killed_child_are_read() -> None:
    def task(report: Report) -> None:
        report("one\nline")
        os.kill(os.getpid(), signal.SIGKILL)

    ending = run_child(task).expect(killed=True)
    assert ending.reports == ["one\nline"]
    with pytest.raises(AssertionError, match="signal 9"):
        ending.expect()


def test_error_in_a_child_is_an_error_here() -> None:
    def task(report: Report) -> None:
        raise ValueError("in the child")

    with pytest.raises(AssertionError, match="ValueError: in the child"):
        run_child(task).expect()


def test_child_that_hangs_is_ended_and_not_forgiven() -> None:
    ending = Child(lambda report: time.sleep(30), seconds_max=1).end()
    assert ending.signal == signal.SIGALRM
    with pytest.raises(AssertionError):
        ending.expect(killed=True)
