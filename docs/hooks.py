"""Hooks: how do links of the pages to files outside docs/ lead somewhere on the site?

The pages are read in the repository, too, where such links are right. On the site they become plain code: the file's name.
"""

import re
from typing import Any

OUTSIDE = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+(?:src|tests|examples|benchmarks|kernel|[A-Z]+\.md)[^)]*)\)")
FOLDER = re.compile(r"\[([^\]]+)\]\((?:\.\./)*(?:docs/)?(guide|formats|decisions)/?\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to outside become names, links to whole folders their names; `float32[rows][b]` is no link."""
    return FOLDER.sub(r"`\2`", OUTSIDE.sub(r"`\1`", markdown)).replace("][", "]\\[")
