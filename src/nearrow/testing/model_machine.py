"""Machine: does a collection behave like the model, whatever comes in whatever order?

    TestLocal = machine(LocalHarness, metric="l2").TestCase

Writes, searches, upkeep, reopening, kills, power losses and disk errors come as Hypothesis likes; after each step the
collection must hold exactly what the model holds. Needs hypothesis.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nearrow.collection import Collection
from nearrow.errors import AlreadyExistsError, NearrowError, NotFoundError, StorageError
from nearrow.schema import CollectionConfig
from nearrow.testing.fault_directory import PowerCut
from nearrow.testing.model import (
    UPKEEP,
    Model,
    Operation,
    compare,
    compare_search,
    compare_within,
    ids_by_age,
    read_rows,
    run,
)
from nearrow.testing.model_harness import Harness
from nearrow.testing.model_texts import TextRules
from nearrow.testing.strategies import DIMENSION, STRING_IDS, bulks, ids, transactions, vectors, writes

FAULTS: list[int | type[PowerCut]] = [PowerCut, errno.EIO, errno.ENOSPC]


class CollectionMachine(TextRules, RuleBasedStateMachine):
    """Subclass it by `machine()`, which says where the collection lies and of which kind it is."""

    make_harness: Callable[[], Harness]
    metric: str
    dtype: str
    integers: bool
    text_fields: tuple[str, ...]
    counts: ClassVar[Counter[str]]
    """What all histories of this machine did."""

    def __init__(self) -> None:
        super().__init__()
        self.harness = type(self).make_harness()
        self.model = Model()
        self.reader: Collection | None = None
        self.seen = Model()
        self.dirty = False
        self.counts["histories"] += 1
        self.counts["steps"] -= 1  # invariants are checked after the beginning, too

    @initialize(memtable_rows=st.sampled_from([16, 32, 64]), graph_rows_min=st.sampled_from([1, 24, 48]))
    def create(self, memtable_rows: int, graph_rows_min: int) -> None:
        self.collection = self.harness.create(
            CollectionConfig(
                "model",
                DIMENSION,
                metric=self.metric,
                dtype=self.dtype,
                text_fields=self.text_fields,
                m=4,
                ef_construction=16,
                memtable_rows=memtable_rows,
                graph_rows_min=graph_rows_min,
            )
        )

    # ---- writes

    @rule(data=st.data())
    def write(self, data: Any) -> None:
        self._do(data.draw(writes(self.integers)))

    @rule(data=st.data())
    def many_writes(self, data: Any) -> None:
        for operation in data.draw(st.lists(writes(self.integers), min_size=3, max_size=10)):
            self._do(operation)

    @rule(data=st.data())
    def transaction(self, data: Any) -> None:
        self._do(data.draw(transactions(self.integers)))

    @rule(data=st.data())
    def bulk(self, data: Any) -> None:
        self._do(data.draw(bulks(self.integers)))

    @rule(kind=st.sampled_from(UPKEEP))
    def upkeep(self, kind: str) -> None:
        self._do((kind, None))

    def _do(self, operation: Operation) -> None:
        expected, error = self.model.after(operation)
        raised: type[BaseException] | None = None
        try:
            run(self.collection, operation)
        except (AlreadyExistsError, NotFoundError) as caught:
            raised = type(caught)
            if error is None:
                raise
        assert raised is error, f"{operation} must raise {error}"
        self.model = expected
        self.dirty = True

    # ---- lives

    @rule()
    def reopen(self) -> None:
        self.collection = self.harness.reopen(self.collection)
        self.dirty = True

    @rule(seed=st.integers(0, 2**30))
    def kill(self, seed: int) -> None:
        self.counts["kills"] += 1
        self.collection = self.harness.kill(self.collection, seed)
        self._forget_reader()
        self.dirty = True

    @rule(data=st.data(), fail_at=st.integers(1, 25), error=st.sampled_from(FAULTS), seed=st.integers(0, 2**30))
    def strike(self, data: Any, fail_at: int, error: Any, seed: int) -> None:
        """A fault during a write: it is there as a whole or not at all, and a poisoned writer refuses the next."""
        if not self.harness.arm(fail_at, error):
            return
        operation = data.draw(st.one_of(writes(self.integers), bulks(self.integers), st.just(("compact", None))))
        after, refused = self.model.after(operation)
        acknowledged = False
        try:
            run(self.collection, operation)
            acknowledged = True
        except (PowerCut, StorageError):
            assert self.harness.disarm()
        except NearrowError as other:
            if refused is None or not isinstance(other, refused):
                raise
            acknowledged = True
        if not self.harness.disarm():
            self.model = after
            return
        self.counts["faults"] += 1
        self.collection = self.harness.kill(self.collection, seed)
        self._forget_reader()
        found = read_rows(self.collection)
        if found and not acknowledged and found == after.rows == self.model.rows:  # written again, or not?
            acknowledged = ids_by_age(self.collection, list(found)) == list(after.rows)
        elif found == after.rows:
            acknowledged = True
        if acknowledged:
            self.model = after
        self.dirty = True

    # ---- reading

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        self.counts["steps"] += 1
        if self.dirty:
            compare(self.model, self.collection)
            self.dirty = False

    @rule(query=vectors(), k=st.integers(1, 150), exact=st.booleans())
    def search(self, query: list[float], k: int, exact: bool) -> None:
        compare_search(self.model, self.collection, query, k, exact=exact)

    @rule(query=vectors(), radius=st.sampled_from([-1.5, 0.25, 0.75, 4.5, 20.5]))
    def within(self, query: list[float], radius: float) -> None:
        compare_within(self.model, self.collection, query, radius)

    @rule(data=st.data())
    def get(self, data: Any) -> None:
        if not self.model.rows:
            return
        asked = data.draw(st.lists(ids(self.integers), max_size=5))
        found = self.collection.get(asked, columns=["id"]).column("id").to_pylist()
        assert found == [name for name in asked if name in self.model.rows]

    @rule()
    def refresh(self) -> None:
        if self.reader is None:
            self.reader = self.harness.reader()
        else:
            self.reader.refresh()
        self.seen = self.model
        compare(self.seen, self.reader)

    @precondition(lambda self: self.reader is not None)
    @rule(query=vectors(), k=st.integers(1, 20))
    def reader_stays_where_it_was(self, query: list[float], k: int) -> None:
        assert self.reader is not None
        compare(self.seen, self.reader)
        compare_search(self.seen, self.reader, query, k, exact=True)

    def _forget_reader(self) -> None:
        if self.reader is not None:
            self.reader.close()
        self.reader = None

    def teardown(self) -> None:
        self._forget_reader()
        if hasattr(self, "collection"):
            self.collection.close(wait=False)
        self.harness.close()


def machine(
    make_harness: Callable[[], Harness],
    *,
    metric: str = "l2",
    dtype: str = "float32",
    integers: bool = False,
    text: bool = False,
) -> type[CollectionMachine]:
    """The machine for one kind of collection; `.TestCase` of it is what a test runner runs."""
    name = f"{make_harness.__name__}_{metric}_{dtype}_{'integers' if integers else 'strings'}"
    made: dict[str, Any] = {
        "make_harness": staticmethod(make_harness),
        "metric": metric,
        "dtype": dtype,
        "integers": integers,
    }
    made["counts"] = Counter()
    made["text_fields"] = ("text",) if text else ()
    return type(name, (CollectionMachine,), made)


__all__ = ["STRING_IDS", "CollectionMachine", "machine"]
