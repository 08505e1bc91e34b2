"""Power: does a mounted file system whose power was cut hold what was promised?"""

from __future__ import annotations

import pytest

from nearrow.testing import small_disk
from nearrow.testing.crash_power import cut_power

pytestmark = pytest.mark.skipif(
    not small_disk.available(), reason="needs Linux, root, loop devices, unshare and mkfs.ext4"
)


def test_promised_rows_survive_power_cuts() -> None:
    tally = cut_power(8, seed=1)
    assert tally.cuts == 8
    assert tally.cut_while_writing >= 5
    assert tally.unsynced_writes_gone == 0


def test_build_whose_syncs_do_nothing_is_caught() -> None:
    with pytest.raises(AssertionError, match="seed 2, cycle"):
        cut_power(12, seed=2, broken="fdatasync")
