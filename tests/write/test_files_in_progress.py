"""Files: does what is being written stay, and everything else go?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from nearrow.schema import CollectionConfig
from nearrow.segment.format import segment_folder
from nearrow.storage.local import LocalDirectory
from nearrow.storage.manifest import load_newest
from nearrow.write.files import Files
from nearrow.write.open import create


class Watched(LocalDirectory):
    """Calls `looking` when somebody is about to list a folder's files."""

    def __init__(self, path: Path, looking: Callable[[str], None]) -> None:
        super().__init__(path)
        self._looking = looking

    def list(self, folder: str = "") -> list[str]:
        self._looking(folder)
        return super().list(folder)


def test_graph_that_is_written_while_files_are_retired_stays(tmp_path: Path) -> None:
    """The list of what must stay is made first; whoever begins after that waits until the old files have gone."""
    folder = segment_folder("committed")
    wrote = threading.Event()
    writers: list[threading.Thread] = []

    def write_graph() -> None:
        with files.protect(folder):
            directory.make_folder(folder)
            directory.publish(f"{folder}/graph.bin", b"of a segment committed before")
            wrote.set()

    def looking(listed: str) -> None:
        if listed == folder and not writers:
            writers.append(threading.Thread(target=write_graph))
            writers[0].start()
            wrote.wait(0.2)  # as long as a file took when it did not wait for us

    directory = Watched(tmp_path, looking)
    create(directory, CollectionConfig("docs", 2))
    manifest = load_newest(directory)
    assert manifest is not None
    files = Files(directory, "docs", lambda segment_id: True)
    directory.make_folder(folder)
    directory.publish(f"{folder}/deletes-1", b"that nobody needs")
    files.retire(manifest)
    writers[0].join()
    assert directory.exists(f"{folder}/graph.bin")
    assert not directory.exists(f"{folder}/deletes-1")


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
