"""Remains: is a file that vanishes under the copy of a killed writer's folder forgiven where it may be, and only there?"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nearrow.testing.remains import leave_copy


def vanishing(path: Path) -> None:
    """Listed but not there when it is opened, as a file that another thread renames in between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(path.parent / "renamed away")


def test_a_file_of_the_text_index_may_vanish_and_all_others_are_copied(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    vanishing(old / "papers" / "text" / ".tmpY7GvhD")
    (old / "papers" / "text" / "meta.json").write_text("{}")
    (old / "papers" / "log").write_bytes(b"rows")
    leave_copy(old, new)
    assert sorted(path.name for path in new.rglob("*") if path.is_file()) == ["log", "meta.json"]


def test_no_other_file_may_vanish(tmp_path: Path) -> None:
    vanishing(tmp_path / "old" / "papers" / "segments" / "1.arrow")
    with pytest.raises(shutil.Error, match=r"1\.arrow"):
        leave_copy(tmp_path / "old", tmp_path / "new")
