"""Script: which writes does a crash campaign make, and what may be there afterwards?

A seed makes a script of writes and upkeep that reaches every part of the write path: log, memtable, seal, bulk segment,
merge, graph, compaction, delete bitmaps. A `Witness` remembers what was acknowledged: after a crash the collection must
hold that, or that and the one write that was under way, whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from nearrow.collection import Collection
from nearrow.schema import CollectionConfig
from nearrow.testing.model import Model, Operation, assert_same_rows, compare, compare_search, read_rows, run

DIMENSION = 4
IDS = 60
UPKEEP_THAT_SYNCS = ("flush", "compact")
"""What makes all that was written durable, whatever the durability."""


def script_config(durability: str = "full") -> CollectionConfig:
    """Small limits: a few dozen rows make segments, merges and graphs."""
    return CollectionConfig(
        "crash",
        DIMENSION,
        metric="l2",
        m=4,
        ef_construction=16,
        memtable_rows=16,
        graph_rows_min=24,
        durability=durability,
    )


def script(seed: int | str, length: int) -> list[Operation]:
    """`length` operations; the same seed, the same script. All of them succeed when nothing fails."""
    random = Random(seed)
    made: list[Operation] = []
    for _ in range(length):
        kind = random.choices(("upsert", "delete", "transaction", "bulk", "flush", "compact"), (50, 20, 14, 6, 6, 4))[0]
        made.append(_operation(random, kind))
    return made


def _operation(random: Random, kind: str) -> Operation:
    if kind == "upsert":
        return (kind, _rows(random, random.randint(1, 6)))
    if kind == "delete":
        return (kind, _names(random, random.randint(1, 5)))
    if kind == "bulk":
        return ("upsert", _rows(random, 20))
    if kind == "transaction":
        return (kind, [_operation(random, random.choice(["upsert", "delete"])) for _ in range(random.randint(1, 3))])
    return (kind, None)


def _names(random: Random, count: int) -> list[str]:
    return [f"id-{number}" for number in random.sample(range(IDS), count)]


def _rows(random: Random, count: int) -> list[dict[str, Any]]:
    columns = [random.choice(["text", "year", "note"]) for _ in range(2)]
    values = {"text": "a star", "year": random.randrange(3000), "note": str(random.random())}
    return [
        {
            "id": name,
            "vector": [float(random.randint(-3, 3)) for _ in range(DIMENSION)],
            **{column: values[column] for column in columns},
        }
        for name in _names(random, count)
    ]


class Witness:
    """What must be in the collection, and what may be.

    With durability "full" every acknowledged write is a promise. Otherwise the promise is the state at the last call that
    made the log durable, and any state since may be found.
    """

    def __init__(self) -> None:
        self.model = Model()
        self.possible: list[Model] = [self.model]

    def do(self, collection: Collection, operation: Operation) -> None:
        """Run one operation; whatever it raises passes through, its effect then unknown."""
        after, _ = self.model.after(operation)
        self.possible.append(after)
        run(collection, operation)
        self.model = after
        if collection.config.durability == "full" or operation[0] in UPKEEP_THAT_SYNCS:
            self.possible = [after]

    def promise(self) -> None:
        """The collection was closed in order: its state is durable."""
        self.possible = [self.model]

    def expect(self, operations: Sequence[Operation], acknowledged: int, *, durable: bool = True) -> None:
        """So many of a dead child's operations had returned; the next one was under way.

        `durable`: all that returned is a promise. If not, only what was there at the last call that makes the log durable.
        """
        states, promised = [self.model], 0
        for number, operation in enumerate(operations[: acknowledged + 1]):
            after, _ = states[-1].after(operation)
            states.append(after)
            if number < acknowledged and (durable or operation[0] in UPKEEP_THAT_SYNCS):
                promised = number + 1
        self.model = states[min(acknowledged, len(operations))]
        self.possible = states[promised:]

    def check(self, collection: Collection, *, writer: bool = True) -> int:
        """Which of the possible states the collection holds; AssertionError unless it is one of them, whole.

        What the writer has found is promised from then on.
        """
        found = read_rows(collection)
        for number in reversed(range(len(self.possible))):
            if self.possible[number].rows == found:
                break
        else:
            assert_same_rows(self.possible[0].rows, found)
        model = self.possible[number]
        compare(model, collection)
        compare_search(model, collection, [1.0, 0.0, -1.0, 2.0], 7, exact=True)
        compare_search(model, collection, [0.0, 1.0, 1.0, 0.0], 100, exact=False)
        if writer:
            self.settle(number)
        return number

    def settle(self, number: int) -> None:
        """A writer has found this one of the possible states: it is promised from now on."""
        self.model = self.possible[number]
        self.possible = [self.model]
