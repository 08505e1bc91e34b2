"""Format pages: are the worked examples of docs/formats what the code writes?"""

from __future__ import annotations

import re
from pathlib import Path

from storage_versions import first_manifest

from nearrow.storage.log_writer import LogWriter
from nearrow.storage.manifest import Manifest
from nearrow.storage.memory import MemoryDirectory

FORMATS = Path(__file__).resolve().parents[2] / "docs" / "formats"


def test_log_example_is_what_the_writer_writes() -> None:
    page = (FORMATS / "log.md").read_text()
    lines = re.findall(r"^[0-9a-f]{4}  ((?:[0-9a-f]{2} ){16})", page, re.MULTILINE)
    directory = MemoryDirectory()
    writer = LogWriter.create(directory, 1, 1, 1)
    for payload in (b"hello", b"nearrow!"):
        writer.append((payload,))
        writer.sync()
    assert bytes.fromhex("".join(lines)) == directory.read("log/00000001.log")


def test_manifest_example_is_what_commit_writes() -> None:
    page = (FORMATS / "manifest.md").read_text()
    example = re.search(r'^```\n(\{"format".*?)^```', page, re.MULTILINE | re.DOTALL)
    assert example is not None
    data = example[1].replace("\n", "").encode() + b"\n"
    assert data == first_manifest().to_bytes()
    assert Manifest.from_bytes(data) == first_manifest()
    body = data[data.index(b'"manifest":') + len(b'"manifest":') : -2]
    assert f"{len(body)} bytes" in page
