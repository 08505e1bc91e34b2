"""Awaitable: does the event loop go on, and is a cancelled write whole or not at all?"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import nearrow
from nearrow.awaitable import awaited_write

AWAITED = (
    "aadd",
    "aupsert",
    "aupdate",
    "adelete",
    "aget",
    "acount",
    "asearch",
    "afacets",
    "asql",
    "aflush",
    "acompact",
)


@pytest.fixture
def docs() -> Iterator[nearrow.Collection]:
    with nearrow.connect(":memory:") as db:
        yield db.create_collection("docs", dimension=4, metric="l2", text_fields=["text"])


def rows(count: int, first: int = 0) -> dict[str, object]:
    vectors = np.random.default_rng(first).standard_normal((count, 4)).astype(np.float32)
    return {"ids": list(range(first, first + count)), "vectors": vectors, "texts": ["a red violin"] * count}


async def in_one_thread(held: threading.Event) -> asyncio.Future[None]:
    """Give the running loop one worker thread, and keep it busy until `held` is set."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    begun = threading.Event()

    def hold() -> None:
        begun.set()
        held.wait()

    holder = asyncio.ensure_future(asyncio.to_thread(hold))
    while not begun.is_set():
        await asyncio.sleep(0)
    return holder


def test_what_is_written_is_read_and_searched_without_blocking_the_loop(docs: nearrow.Collection) -> None:
    async def story() -> None:
        assert await docs.aadd(**rows(10)) == 10
        assert await docs.aupsert(ids=[3], vectors=np.ones((1, 4)), texts=["a blue cello"]) == 1
        assert await docs.aupdate([{"id": 3, "year": 1999}]) == 1
        hits = await docs.asearch(np.ones(4), k=1)
        assert (hits[0].id, hits[0]["year"]) == (3, 1999)
        assert [hit.id for hit in await docs.asearch(text="cello")] == [3]
        assert (await docs.aget([3]))["text"].to_pylist() == ["a blue cello"]
        assert await docs.afacets(["year"]) == {"year": {1999: 1}}
        assert (await docs.asql("SELECT count(*) AS n FROM docs"))["n"].to_pylist() == [10]
        await docs.aflush()
        await docs.acompact()
        assert await docs.adelete([3]) == 1
        assert await docs.acount() == 9

    asyncio.run(story())


def test_many_at_once_are_all_there(docs: nearrow.Collection) -> None:
    async def story() -> list[int]:
        return await asyncio.gather(*(docs.aadd(**rows(5, first=5 * i)) for i in range(40)))

    assert asyncio.run(story()) == [5] * 40
    assert len(docs) == 200


def test_an_error_comes_out_of_the_await(docs: nearrow.Collection) -> None:
    async def story() -> None:
        await docs.aadd(**rows(2))
        with pytest.raises(nearrow.AlreadyExistsError):
            await docs.aadd(**rows(2))

    asyncio.run(story())


def test_a_write_cancelled_before_a_thread_takes_it_never_happens(docs: nearrow.Collection) -> None:
    async def story() -> None:
        held = threading.Event()
        holder = await in_one_thread(held)
        write = asyncio.ensure_future(docs.aadd(**rows(10)))
        await asyncio.sleep(0)
        write.cancel()
        with pytest.raises(asyncio.CancelledError):
            await write
        held.set()
        await holder
        await asyncio.to_thread(lambda: None)  # the one thread has come past the write that was withdrawn
        assert len(docs) == 0

    asyncio.run(story())


class Slow:
    """A write that can be watched: it begins, waits for `go`, and then is there."""

    def __init__(self, fails: bool = False) -> None:
        self.begun, self.go, self.fails = threading.Event(), threading.Event(), fails
        self.rows = 0

    def write(self) -> int:
        """Write ten rows."""
        self.begun.set()
        self.go.wait()
        if self.fails:
            raise nearrow.StorageError("the disk is full")
        self.rows = 10
        return self.rows

    awrite = awaited_write(write)


async def cancelled_while_it_writes(slow: Slow) -> list[dict[str, object]]:
    reported: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
    write = asyncio.ensure_future(slow.awrite())
    while not slow.begun.is_set():
        await asyncio.sleep(0)
    for _ in range(3):  # also when it is cancelled again while it waits
        write.cancel()
        await asyncio.sleep(0)
        assert not write.done()
    slow.go.set()
    with pytest.raises(asyncio.CancelledError):
        await write
    return reported


def test_a_write_cancelled_under_way_is_whole_when_the_caller_hears_of_it() -> None:
    slow = Slow()
    assert asyncio.run(cancelled_while_it_writes(slow)) == []
    assert slow.rows == 10


def test_a_cancelled_write_that_fails_is_reported_to_the_loop() -> None:
    (report,) = asyncio.run(cancelled_while_it_writes(Slow(fails=True)))
    assert "the disk is full" in str(report["exception"])


def test_random_cancellations_leave_whole_batches(docs: nearrow.Collection) -> None:
    rng = np.random.default_rng(5)

    async def story() -> set[int]:
        acknowledged: set[int] = set()

        async def write(batch: int) -> None:
            await docs.aadd(**rows(7, first=7 * batch))
            acknowledged.add(batch)

        tasks = [asyncio.ensure_future(write(batch)) for batch in range(60)]
        for task in tasks:
            await asyncio.sleep(0)
            if rng.random() < 0.5:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return acknowledged

    acknowledged = asyncio.run(story())
    there = set(docs.to_arrow()["id"].to_pylist())
    for batch in range(60):
        of_batch = set(range(7 * batch, 7 * batch + 7))
        assert of_batch <= there or not of_batch & there
        assert batch not in acknowledged or of_batch <= there


def test_context_variables_reach_the_thread() -> None:
    user: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")

    class Store:
        def write(self) -> str:
            return user.get()

        awrite = awaited_write(write)

    async def story() -> str:
        user.set("ada")
        return await Store().awrite()

    assert asyncio.run(story()) == "ada"


@pytest.mark.parametrize("name", AWAITED)
def test_awaited_verb_has_the_signature_of_its_verb(name: str) -> None:
    awaited: Callable[..., object] = getattr(nearrow.Collection, name)
    verb = getattr(nearrow.Collection, name[1:])
    assert inspect.iscoroutinefunction(awaited)
    assert awaited.__name__ == name
    assert inspect.signature(awaited) == inspect.signature(verb)
    assert inspect.getdoc(awaited)
