"""Docs: does every example in README.md and docs/guide run, and print what it says?

The blocks of one page run in order, in one namespace, in an empty directory that has the project's `examples`
folder in it. A page that says <!-- needs: package --> is skipped without it. ```python blocks are executed, and a
```text block right below one is what it prints; ```pycon blocks are doctests. The guides call `embed`, which stands
for the reader's own model.
"""

from __future__ import annotations

import contextlib
import doctest
import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PROJECT = Path(__file__).resolve().parent.parent
GUIDES = sorted([*(PROJECT / "docs" / "guide").glob("*.md"), *(PROJECT / "docs" / "migration").glob("*.md")])
PAGES = [PROJECT / "README.md", *GUIDES]
NEEDS = re.compile(r"^<!-- needs: (\S+) -->$", re.MULTILINE)
BLOCK = re.compile(r"^```(python|pycon)\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced example: its language, its text, the line that it starts on, what it prints if the page says so."""

    language: str
    text: str
    line: int
    prints: str | None


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for match in BLOCK.finditer(text):
        yield Block(match[1], match[2], text.count("\n", 0, match.start()) + 2, match[3])


def embed(texts: str | list[str], dimension: int = 384) -> np.ndarray:
    """A vector for each text, from its words: texts that share words are near each other. One text gives one vector."""
    if isinstance(texts, str):
        return embed([texts], dimension)[0]
    vectors = np.zeros((len(texts), dimension), dtype=np.float32)
    for row, text in enumerate(texts):
        for word in re.findall(r"\w+", text.lower()):
            seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
            vectors[row] += np.random.default_rng(seed).standard_normal(dimension).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def run(block: Block, page: Path, namespace: dict[str, Any]) -> None:
    if block.language == "python":
        # Newlines in front make a traceback point at the line of the page.
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), namespace)
        assert block.prints is None or printed.getvalue() == block.prints
        return
    test = doctest.DocTestParser().get_doctest(block.text, namespace, page.name, str(page), block.line - 1)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE, verbose=False)
    report: list[str] = []
    runner.run(test, out=report.append, clear_globs=False)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)
    namespace.update(test.globs)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_examples_on_the_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = list(blocks(page))
    if page.name != "README.md" and not found:
        pytest.skip("no examples on this page")
    assert found
    for package in NEEDS.findall(page.read_text()):
        pytest.importorskip(package)
    (tmp_path / "examples").symlink_to(PROJECT / "examples")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "__page__", "embed": embed}
    for block in found:
        run(block, page, namespace)


LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
WRITTEN = [*PAGES, *PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md"), *(PROJECT / "examples").rglob("*.md")]


@pytest.mark.parametrize("page", sorted(set(WRITTEN)), ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing
