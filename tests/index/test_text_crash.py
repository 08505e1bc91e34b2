"""Text index, crashes and damage: is it always at some commit, or refused, and never wrong?"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from nearrow.index.text import RebuildNeededError, TextIndex

CHILD = Path(__file__).with_name("text_child.py")
QUERIES = ("every", "n5", "+every -n4", '"every n13"', "n1*", "n12~1")


def assert_state_of_a_commit(index: TextIndex) -> None:
    """The rows are exactly those that the watermark speaks of (see text_child)."""
    end = index.watermark
    assert end % 10 == 0
    assert index.lsn == end
    dead = {row for row in range(end - 10) if row % 10 in (3, 7)}
    expected = [row for row in range(end) if row not in dead]
    assert index.matches("every").tolist() == expected
    if end:
        assert index.search(f"n{end - 1}", 5)[0].tolist() == [end - 1]
    assert index.matches("n3").tolist() == ([3] if end == 10 else [])


def test_a_killed_writer_leaves_a_whole_commit_and_no_lock(tmp_path: Path) -> None:
    path = str(tmp_path / "text")
    dice = random.Random(7)
    acknowledged = 0
    for _ in range(6):
        child = subprocess.Popen(
            [sys.executable, str(CHILD), path, str(acknowledged)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        for _ in range(dice.randrange(1, 12)):
            acknowledged = int(child.stdout.readline())
        try:
            child.wait(timeout=dice.random() * 0.02)
        except subprocess.TimeoutExpired:
            child.kill()
        rest = child.communicate()[0].split()
        assert child.returncode == -9
        acknowledged = int(rest[-1]) if rest else acknowledged
        index = TextIndex.open(path, ["text"])
        assert index.watermark >= acknowledged
        assert_state_of_a_commit(index)
        index.close()


def test_a_reader_process_sees_whole_commits_while_the_writer_works(tmp_path: Path) -> None:
    path = str(tmp_path / "text")
    child = subprocess.Popen([sys.executable, str(CHILD), path, "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        reader = TextIndex.open(path, ["text"], read_only=True)
        seen = [reader.watermark]
        while len(set(seen)) <= 12:  # however seldom the writer gets its turn: opening and committing take one lock
            assert child.poll() is None
            seen.append(reader.reload().watermark)
            assert_state_of_a_commit(reader)
            assert_state_of_a_commit(TextIndex.open(path, ["text"], read_only=True))
        assert seen == sorted(seen)
    finally:
        child.kill()
        child.communicate()


def committed(path: Path) -> None:
    index = TextIndex.open(str(path), ["text"])
    for start in (0, 10, 20):
        rows = np.arange(start, start + 10, dtype=np.uint64)
        index.add(rows, {"text": pa.array([f"every n{n}" for n in rows.tolist()])})
        if start:
            index.delete(np.array([start - 7, start - 3], np.uint64))
        index.commit(start + 10, start + 10)
    index.close()


def answers(index: TextIndex) -> list[tuple[list[int], list[float]]]:
    found = [index.search(query, 50) for query in QUERIES]
    return [(rows.tolist(), np.round(scores, 5).tolist()) for rows, scores in found]


def test_any_damaged_file_is_refused_or_harmless(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    committed(whole)
    index = TextIndex.open(str(whole), ["text"])
    expected, numbers = answers(index), (index.watermark, index.lsn)
    index.close()
    dice = random.Random(3)
    refused = 0
    files = sorted(file.name for file in whole.iterdir() if file.stat().st_size)
    for name in files:
        content = (whole / name).read_bytes()
        places = sorted(
            {0, len(content) - 1, len(content) // 2, *dice.sample(range(len(content)), min(25, len(content)))}
        )
        for damage in (*places, "cut", "empty", "gone"):
            shutil.rmtree(broken, ignore_errors=True)
            shutil.copytree(whole, broken)
            if damage == "gone":
                (broken / name).unlink()
            elif damage == "cut":
                (broken / name).write_bytes(content[: len(content) * 2 // 3])
            elif damage == "empty":
                (broken / name).write_bytes(b"")
            else:
                assert isinstance(damage, int)
                flipped = bytes([content[damage] ^ (1 << dice.randrange(8))])
                (broken / name).write_bytes(content[:damage] + flipped + content[damage + 1 :])
            try:
                index = TextIndex.open(str(broken), ["text"])
                assert (answers(index), (index.watermark, index.lsn)) == (expected, numbers), (name, damage)
                index.close()
            except RebuildNeededError:
                refused += 1
    assert refused > len(files)


def test_a_large_index_is_opened_without_reading_it_but_check_reads_all(tmp_path: Path) -> None:
    path = tmp_path / "text"
    committed(path)
    name = next(file for file in sorted(path.iterdir()) if file.suffix == ".store")
    content = bytearray(name.read_bytes())
    content[0] ^= 1
    name.write_bytes(content)
    with pytest.raises(RebuildNeededError, match="checksum"):
        TextIndex.open(str(path), ["text"])
    index = TextIndex.open(str(path), ["text"], verify_bytes_max=0)
    assert any("checksum" in problem for problem in index.check())


def test_a_rebuild_after_a_refusal_starts_empty(tmp_path: Path) -> None:
    path = tmp_path / "text"
    committed(path)
    (path / "meta.json").write_text("{")
    with pytest.raises(RebuildNeededError):
        TextIndex.open(str(path), ["text"])
    shutil.rmtree(path)
    index = TextIndex.open(str(path), ["text"])
    assert (index.watermark, index.lsn, index.matches("*").tolist()) == (0, 0, [])


def test_a_reader_without_an_index_is_told(tmp_path: Path) -> None:
    with pytest.raises(RebuildNeededError):
        TextIndex.open(str(tmp_path / "none"), ["text"], read_only=True)
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / ".managed.json").write_text("[]")
    with pytest.raises(RebuildNeededError):
        TextIndex.open(str(tmp_path / "half"), ["text"])
