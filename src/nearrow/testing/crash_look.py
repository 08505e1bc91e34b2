"""Look: what does the next process find in a database whose writer died?"""

from __future__ import annotations

from pathlib import Path

import nearrow
from nearrow.testing.children import Child, Report, run_child
from nearrow.testing.crash_script import Witness, script, script_config
from nearrow.testing.fault_directory import FaultDirectory
from nearrow.testing.inline_background import open_inline
from nearrow.write.open import create

NAME = script_config().name


def make_database(path: Path, durability: str) -> None:
    """A database at `path` with the empty collection that the scripts write to; made by a child."""

    def task(report: Report) -> None:
        settings = script_config(durability).to_dict()
        with nearrow.connect(path) as database:
            database.create_collection(settings.pop("name"), settings.pop("dimension"), **settings)

    run_child(task).expect()


def look(path: Path, witness: Witness) -> None:
    """AssertionError unless a reader, and then the next writer, finds one of the states that the witness allows."""
    witness.settle(int(reading(path, witness).end().expect().reports[0]))


def reading(path: Path, witness: Witness) -> Child:
    """A child that looks, and reports the number of the state that it found."""

    def task(report: Report) -> None:
        with nearrow.connect(path, read_only=True) as database:
            witness.check(database.collection(NAME), writer=False)
        with nearrow.connect(path) as database:
            number = witness.check(database.collection(NAME))
        report(str(number))

    return Child(task)


def warm_up() -> None:
    """Import and compute once, in memory and without threads, what each child would otherwise do first."""
    directory, witness = FaultDirectory(0), Witness()
    create(directory, script_config())
    collection = open_inline(directory)
    for operation in script("warm", 30):
        witness.do(collection, operation)
    witness.check(collection)
    collection.close()
