"""Style: does the tree keep the rules of STYLE.md that a machine can check?"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
SOURCE = PROJECT / "src" / "nearrow"
MODULES = sorted(SOURCE.rglob("*.py"))
KERNEL_FILES = sorted(path for path in (PROJECT / "kernel").rglob("*") if path.suffix in {".h", ".cpp"})
LINES_MAX = 350
DOORS = {  # what may be touched only behind one door → the modules (below src/nearrow) that are the door
    "nearrow._kernel": "index/",
    "tantivy": "index/text",
    "duckdb": "analytics/",
    "typer": "cli/",
    "pyarrow.flight": "server/",
}


def relative(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def imported_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_module_opens_with_the_question_it_answers(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    first_line = docstring.partition("\n")[0]
    if path.name == "__init__.py" and path.parent != SOURCE:
        assert first_line, "a package says what it is about"
    elif path == SOURCE / "__init__.py":
        assert first_line.startswith("Nearrow")
    else:
        assert re.fullmatch(r"\S.*: .*", first_line) or first_line.endswith("?"), first_line


@pytest.mark.parametrize("path", [*MODULES, *KERNEL_FILES], ids=relative)
def test_file_is_small_enough_to_read_in_one_go(path: Path) -> None:
    assert len(path.read_text().splitlines()) < LINES_MAX


@pytest.mark.parametrize("path", [*MODULES, *KERNEL_FILES], ids=relative)
def test_nothing_is_left_for_later(path: Path) -> None:
    marks = re.findall(r"\b(TO" + r"DO|FIX" + r"ME|XXX|HACK)\b", path.read_text())
    assert not marks


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_no_error_is_swallowed(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: a bare except"
            only_pass = len(node.body) == 1 and isinstance(node.body[0], ast.Pass)
            assert not only_pass, (
                f"line {node.lineno}: except … pass; use contextlib.suppress with a comment that says why"
            )


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_each_dependency_has_one_door(path: Path) -> None:
    inside = path.relative_to(SOURCE).as_posix()
    for name in imported_names(ast.parse(path.read_text())):
        for dependency, door in DOORS.items():
            if name == dependency or name.startswith(dependency + "."):
                assert inside.startswith(door), f"{name} may be imported only below {door}"


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_only_storage_syncs_files(path: Path) -> None:
    if path.is_relative_to(SOURCE / "storage"):
        return
    calls = [node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
    assert not {"fsync", "fdatasync"} & set(calls)
