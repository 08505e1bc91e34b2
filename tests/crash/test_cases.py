"""Cases: does a database come well out of a full disk, a read-only mount, missing files, clock jumps and left locks?"""

from __future__ import annotations

import sys

import pytest

from nearrow.testing.crash_cases import CASES, run_cases

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks")


def test_every_case_ends_as_it_should() -> None:
    figures = run_cases(seed=2)
    assert set(figures) == set(CASES)
    assert "10 years" in str(figures["clock steps"])
