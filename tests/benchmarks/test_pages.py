"""Are files that lie in small pages written anew, as they were?"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import pages


def test_a_file_is_written_anew_only_when_it_lies_in_small_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"x" * 1000)
    large.write_bytes(bytes(range(256)) * (5 * pages.LARGE_PAGE // 256))
    before = {path: path.stat().st_ino for path in (small, large)}
    shares = {large: [0.2, 0.95]}
    monkeypatch.setattr(pages, "_share_in_large_pages", lambda path: shares[path].pop(0))
    assert pages.renew([small, large, tmp_path / "missing"]) == []
    assert small.stat().st_ino == before[small], "too small to matter"
    assert large.stat().st_ino != before[large]
    assert large.read_bytes() == bytes(range(256)) * (5 * pages.LARGE_PAGE // 256)
    assert sorted(tmp_path.iterdir()) == [large, small]


def test_what_stays_in_small_pages_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"x" * 5 * pages.LARGE_PAGE)
    monkeypatch.setattr(pages, "_share_in_large_pages", lambda path: 0.5)
    assert pages.renew([large]) == [large]


def test_the_share_is_a_share(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"x" * 5 * pages.LARGE_PAGE)
    assert 0.0 <= pages._share_in_large_pages(large) <= 1.0
