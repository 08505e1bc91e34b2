"""Kill: does a killed writer lose nothing that it acknowledged?"""

from __future__ import annotations

import sys

import pytest

from nearrow.testing import crash_strace
from nearrow.testing.crash_kill import kill_cycles

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")
needs_strace = pytest.mark.skipif(not crash_strace.available(), reason="strace is missing, or may not trace here")


def test_killed_writer_loses_no_acknowledged_write() -> None:
    tally = kill_cycles(20, seed=1)
    assert tally.cycles == 20
    assert tally.killed_while_writing >= 13
    assert tally.acknowledged_writes > 30


@needs_strace
@pytest.mark.parametrize("call", ["pwritev2", "fdatasync", "rename"])
def test_writer_killed_at_a_system_call_loses_no_acknowledged_write(call: str) -> None:
    tally = crash_strace.kill_at_system_calls(3, calls=(call,), step=5, points_max=2)
    assert tally.points[call] == 2


@needs_strace
def test_no_call_that_changes_the_disk_goes_past_the_ones_that_are_struck() -> None:
    seen, counted = crash_strace.compare_calls(3)
    assert seen == counted
    assert seen["fdatasync"] > 10
