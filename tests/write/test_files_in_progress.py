"""Files: does what is being written stay, and everything else go?"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from nearrow.schema import CollectionConfig
from nearrow.segment.format import segment_folder
from nearrow.storage.local import LocalDirectory
from nearrow.storage.manifest import load_newest
from nearrow.write.files import Files
from nearrow.write.open import create


def test_folder_stays_until_the_last_one_who_writes_into_it_is_done(tmp_path: Path) -> None:
    """A graph is begun as soon as a load's segment is committed, and so before the load itself has ended."""
    directory = LocalDirectory(tmp_path)
    create(directory, CollectionConfig("docs", 2))
    manifest = load_newest(directory)
    assert manifest is not None
    files = Files(directory, "docs", lambda segment_id: True)
    with ExitStack() as graph:
        with files.new_segment() as segment_id:
            folder = segment_folder(segment_id)
            directory.make_folder(folder)
            graph.enter_context(files.protect(folder))
        directory.publish(f"{folder}/graph.bin", b"written beside it")
        files.retire(manifest)
        assert directory.exists(f"{folder}/graph.bin")
    files.retire(manifest)
    assert not directory.exists(f"{folder}/graph.bin")
