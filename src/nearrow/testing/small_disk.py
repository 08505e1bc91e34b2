"""Small disk: how does a test get a file system of its own, to fill it up or to cut its power?

An ext4 image, mounted by a loop device. `cut` shuts the file system down without writing anything back, its journal
neither: what was not synced is gone, as when the power goes. Needs Linux, root and loop devices; `available()` says
whether they are there. Run it in a mount namespace of its own (`unshare -m`), then no mount outlives the process.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

_SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN
_WITHOUT_JOURNAL = struct.pack("I", 2)  # FS_SHUTDOWN_FLAGS_NOLOGFLUSH


class SmallDisk:
    """An ext4 of a few megabytes. `root` is where it is mounted."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.image = folder / "image"
        self.root = folder / "mounted"
        self.root.mkdir()
        with open(self.image, "wb") as file:
            file.truncate(megabytes << 20)
        self.format()
        self.mount()

    def format(self) -> None:
        """An empty file system. REQUIRES: not mounted."""
        _run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(self.image))

    def mount(self) -> None:
        """Mount it; the journal is replayed, as after a power cut."""
        _run("mount", "-o", "loop", str(self.image), str(self.root))

    def unmount(self) -> None:
        """REQUIRES: no process has a file open in it."""
        _run("umount", str(self.root))

    def remount_read_only(self) -> None:
        """REQUIRES: no process has a file open for writing in it."""
        _run("mount", "-o", "remount,ro", str(self.root))

    def cut(self) -> None:
        """The power goes: every later call on this file system fails until it is mounted again."""
        import fcntl  # not on Windows

        descriptor = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, _WITHOUT_JOURNAL)
        finally:
            os.close(descriptor)

    def power_on(self) -> None:
        """What is there after the cut."""
        self.unmount()
        self.mount()


@contextlib.contextmanager
def small_disk(megabytes: int = 32) -> Iterator[SmallDisk]:
    """A new one, mounted; gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="nearrow-disk-"))
    try:
        disk = SmallDisk(folder, megabytes)
        try:
            yield disk
        finally:
            disk.unmount()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def available() -> bool:
    """Whether this process may mount images: tried once, in a mount namespace of its own."""
    needed = ("unshare", "mount", "umount", "mkfs.ext4")
    if sys.platform != "linux" or os.geteuid() != 0 or not all(shutil.which(tool) for tool in needed):
        return False
    return in_own_namespace("nearrow.testing.small_disk").returncode == 0


def in_own_namespace(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module in a mount namespace of its own."""
    command = ["unshare", "-m", sys.executable, "-m", module, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


if __name__ == "__main__":
    with small_disk(megabytes=4) as tried:
        tried.cut()
        tried.power_on()
