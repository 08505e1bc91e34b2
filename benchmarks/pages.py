"""Pages: do an index's mapped files lie in large pages, as on the day they were written?

Linux keeps a file that was written in large pieces in large pages of the page cache, as far as the file system can; a
file that was dropped from memory and read again may come back in small ones. Reading rows here and there then misses
the TLB more, and an engine that maps its files answers a third slower, whatever its code does. So that runs of
different days can be compared, such files are written anew before a search is timed.
"""

from __future__ import annotations

import mmap
import re
import sys
from collections.abc import Iterable
from pathlib import Path

LARGE_PAGE = 2 << 20
ENOUGH = 0.9  # of a file; the last part of it fills no large page


def renew(paths: Iterable[Path]) -> list[Path]:
    """Writes anew what lies in small pages, and returns what still does then (memory in too small pieces)."""
    left = []
    for path in paths:
        if not path.is_file() or path.stat().st_size < 4 * LARGE_PAGE or _share_in_large_pages(path) >= ENOUGH:
            continue
        write_anew(path)
        if _share_in_large_pages(path) < ENOUGH:
            left.append(path)
    return left


def write_anew(path: Path) -> None:
    """The same bytes in new pages, written 2 MiB at a time, as a collection writes its rows."""
    copy = path.with_name(path.name + ".renewed")
    with path.open("rb") as source, copy.open("wb", buffering=0) as target:
        while piece := source.read(LARGE_PAGE):
            target.write(piece)
    copy.replace(path)


def _share_in_large_pages(path: Path) -> float:
    """Of the file's bytes, once all of them were read; 1 where the system cannot tell."""
    if not sys.platform.startswith("linux"):
        return 1.0
    size = path.stat().st_size
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ) as mapped:
        mapped.madvise(mmap.MADV_HUGEPAGE)
        sum(mapped[:: mmap.PAGESIZE])
        name = re.escape(str(path.resolve()))
        found = re.search(name + r"\n(?:\w+:.*\n)*?FilePmdMapped: +(\d+) kB", Path("/proc/self/smaps").read_text())
        return int(found[1]) * 1024 / size if found else 1.0
