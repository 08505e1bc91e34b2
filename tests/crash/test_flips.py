"""Flips: is a flipped byte an error or harmless, never wrong rows and never a crash?"""

from __future__ import annotations

import pytest

from nearrow.testing.crash_flips import flip_bytes


@pytest.mark.parametrize("lazy", [False, True], ids=["digested", "lazily_digested"])
def test_flipped_byte_is_an_error_or_harmless(lazy: bool) -> None:
    tally = flip_bytes(step=401, first=3, lazy=lazy)
    assert tally.failures == []
    assert tally.flips > 50
    assert {"rows.arrow", "graph.bin"} <= set(tally.outcomes)
    assert lazy or {"manifest", "log"} <= set(tally.outcomes)
