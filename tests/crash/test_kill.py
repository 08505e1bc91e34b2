"""Kill: does a killed writer lose nothing that it acknowledged?"""

from __future__ import annotations

import sys

import pytest

from nearrow.testing import crash_syscalls
from nearrow.testing.crash_kill import kill_cycles

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")


def test_killed_writer_loses_no_acknowledged_write() -> None:
    tally = kill_cycles(15, seed=1)
    assert tally.cycles == 15
    assert tally.killed >= 10
    assert tally.acknowledged > 20


@pytest.mark.skipif(not crash_syscalls.available(), reason="strace is missing, or may not trace here")
@pytest.mark.parametrize("call", ["pwritev2", "fdatasync", "rename"])
def test_writer_killed_at_a_system_call_loses_no_acknowledged_write(call: str) -> None:
    tally = crash_syscalls.strike_calls(3, calls=(call,), step=5, points_max=2)
    assert tally.points[call] == 2
