"""Hooks: how does the site differ from the pages in the repository?

Links to files outside docs/ are right in the repository; on the site they become plain code: the file's name. Decisions come
one after another, so the site's navigation finds them by itself; every other page stands in mkdocs.yml.
"""

import re
from pathlib import Path
from typing import Any

OUTSIDE = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+(?:src|tests|examples|benchmarks|kernel|[A-Z]+\.md)[^)]*)\)")
FOLDER = re.compile(r"\[([^\]]+)\]\((?:\.\./)*(?:docs/)?(guide|formats|decisions)/?\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to outside become names, links to whole folders their names; `float32[rows][b]` is no link."""
    return FOLDER.sub(r"`\2`", OUTSIDE.sub(r"`\1`", markdown)).replace("][", "]\\[")


def on_config(config: Any) -> Any:
    """Every decision after the page that says what decisions are."""
    pages = sorted((Path(config.docs_dir) / "decisions").glob("[0-9]*.md"))
    section = next(entry["Decisions"] for entry in config.nav if "Decisions" in entry)
    section += [f"decisions/{page.name}" for page in pages]
    return config
