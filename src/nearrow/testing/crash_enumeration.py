"""Enumeration: is every acknowledged row there after a fault at any operation, also during recovery?

A scripted program runs on a FaultDirectory; one of its operations fails (power cut, EIO, ENOSPC); then the power goes or
the process dies, and the next life goes on from what is left, with another fault during its recovery. A pass counts only
if the fault fired. Background work is inline, so a seed decides everything.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from nearrow.collection import Collection
from nearrow.errors import ClosedError, StorageError
from nearrow.testing.crash_script import Witness, script, script_config
from nearrow.testing.fault_directory import FaultDirectory, PowerCut
from nearrow.testing.inline_background import open_inline
from nearrow.testing.model import Operation
from nearrow.testing.model_harness import abandon
from nearrow.write.open import create
from nearrow.write.writer import Writer

FAULTS: dict[str, int | type[PowerCut]] = {"power": PowerCut, "EIO": errno.EIO, "ENOSPC": errno.ENOSPC}
LIVES = 2
"""How often a run is struck again after its first fault."""


@dataclass
class Tally:
    """What a campaign did."""

    points: int = 0
    fired: int = 0
    images: int = 0
    nested: int = 0

    def __iadd__(self, other: Tally) -> Tally:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)
        return self


def new_directory(seed: int, durability: str) -> FaultDirectory:
    """A FaultDirectory with an empty collection in it."""
    directory = FaultDirectory(seed)
    create(directory, script_config(durability))
    return directory


def live(directory: FaultDirectory, witness: Witness, operations: Sequence[Operation], *, close: bool = True) -> None:
    """One life of the program: recover, check, write, close."""
    collection = open_inline(directory)
    try:
        witness.check(collection)
        for operation in operations:
            witness.do(collection, operation)
        if close:
            collection.close()
            witness.promise()
    except (StorageError, PowerCut) as error:
        assert_poisoned_or_whole(collection, directory)
        if isinstance(error, StorageError) and collection.config.durability == "full":
            _go_on(collection, witness)
        raise
    finally:
        abandon(collection)


def _go_on(collection: Collection, witness: Witness) -> None:
    """A program that does not stop at an error: what is acknowledged after it is promised like everything else."""
    with contextlib.suppress(StorageError, ClosedError):
        after = script("one more", 1)[0]
        collection.upsert(after[1])
        witness.possible = [model.after(after)[0] for model in witness.possible]


class Fault(Protocol):
    """Something that may have gone wrong."""

    @property
    def fired(self) -> bool: ...


def assert_poisoned_or_whole(collection: Collection, fault: Fault) -> None:
    """After a failed write the writer either refuses the next one, or was not harmed at all."""
    assert fault.fired
    assert isinstance(collection._store, Writer)
    core = collection._store.core
    if core.failed:
        try:
            collection.upsert([{"id": "refused", "vector": [1.0, 1.0, 1.0, 1.0]}])
        except (StorageError, ClosedError, PowerCut):
            return
        raise AssertionError("a poisoned writer took a write")


def operations_of(seed: int, operations: Sequence[Operation], durability: str) -> int:
    """How many disk operations the program makes when nothing fails."""
    directory = new_directory(seed, durability)
    directory.arm(0)
    live(directory, Witness(), operations)
    return len(directory.operations)


def strike(seed: int, fail_at: int, fault: str, operations: Sequence[Operation], durability: str) -> Tally:
    """The program with a fault at one operation; then crash after crash, each recovery struck as well."""
    tally = Tally(points=1)
    directory, witness = new_directory(seed, durability), Witness()
    directory.arm(fail_at, FAULTS[fault])
    tally.fired += _until_fault(directory, witness, operations)
    for life in range(LIVES):
        random = Random(f"{seed} {fail_at} {fault} {life}")
        directory = directory.kill() if random.random() < 0.3 else directory.crash(random.getrandbits(30))
        directory.arm(random.randint(1, 20), random.choice(list(FAULTS.values())))
        tally.nested += _until_fault(directory, witness, script(random.getrandbits(30), 3))
        tally.images += 1
    directory = directory.crash(Random(f"{seed} {fail_at} last").getrandbits(30))
    live(directory, witness, ())
    tally.images += 1
    return tally


def _until_fault(directory: FaultDirectory, witness: Witness, operations: Sequence[Operation]) -> bool:
    """Whether the fault fired. A fault in background work stays there: the write that woke it stands."""
    try:
        live(directory, witness, operations, close=len(operations) % 2 == 0)
    except (StorageError, PowerCut):
        if not directory.fired:
            raise
    return directory.fired


def enumerate_points(
    seed: int, *, length: int = 12, durability: str = "full", faults: Sequence[str] = tuple(FAULTS), step: int = 1
) -> Tally:
    """Every `step`-th operation of the script of `seed`, each with every fault."""
    operations = script(seed, length)
    tally = Tally()
    for fail_at in range(1 + seed % step, operations_of(seed, operations, durability) + 1, step):
        for fault in faults:
            tally += strike(seed, fail_at, fault, operations, durability)
    return tally
