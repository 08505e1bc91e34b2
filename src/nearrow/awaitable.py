"""Awaitable: how does a verb that blocks become one that is awaited?

The verb runs in a thread of the event loop's default executor, with the caller's context variables, so the loop goes on.
Cancelling has two meanings. A read that is cancelled is abandoned: its thread ends it, and nobody looks at the result. A
write is one atomic batch, and stays one: if no thread has taken it up it is withdrawn and never happens; else the
cancellation waits for its end. So when CancelledError reaches the caller, the write is there whole, or not at all, and
nothing of it is under way any more.
"""

from __future__ import annotations

import contextvars
import functools
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar

if TYPE_CHECKING:
    import asyncio  # at run time where it is needed: who awaits nothing need not load it

P = ParamSpec("P")
Owner = TypeVar("Owner")
Result = TypeVar("Result")

Blocking = Callable[Concatenate[Owner, P], Result]
Awaited = Callable[Concatenate[Owner, P], Coroutine[Any, Any, Result]]


def awaited_read(verb: Blocking[Owner, P, Result]) -> Awaited[Owner, P, Result]:
    """The verb as a coroutine function; a cancelled call is abandoned."""

    async def read(owner: Owner, /, *arguments: P.args, **keywords: P.kwargs) -> Result:
        import asyncio

        return await asyncio.to_thread(verb, owner, *arguments, **keywords)

    return _named(read, verb)


def awaited_write(verb: Blocking[Owner, P, Result]) -> Awaited[Owner, P, Result]:
    """The verb as a coroutine function; a cancelled call is withdrawn, or else waited for."""

    async def write(owner: Owner, /, *arguments: P.args, **keywords: P.kwargs) -> Result:
        import asyncio

        work = _Work(functools.partial(contextvars.copy_context().run, verb, owner, *arguments, **keywords))
        running: asyncio.Future[Any] = asyncio.get_running_loop().run_in_executor(None, work.run)
        try:
            result: Result = await asyncio.shield(running)
            return result
        except asyncio.CancelledError:
            if not work.withdraw():
                await _ended(running)
            raise

    return _named(write, verb)


class _Work(Generic[Result]):
    """A call that can be withdrawn until a thread begins it."""

    def __init__(self, call: Callable[[], Result]) -> None:
        self._call = call
        self._turn = threading.Lock()  # taken once: by the thread that begins, or by the one who withdraws

    def run(self) -> Result | None:
        return self._call() if self._turn.acquire(blocking=False) else None

    def withdraw(self) -> bool:
        return self._turn.acquire(blocking=False)


async def _ended(running: asyncio.Future[Any]) -> None:
    """Return when the thread has ended, however often the caller is cancelled meanwhile. Its error goes to the log only."""
    import asyncio

    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError:
            continue  # the caller is told already, and raises when this returns
    if not running.cancelled() and running.exception() is not None:
        asyncio.get_running_loop().call_exception_handler(
            {"message": "a cancelled write failed; nothing of it was written", "exception": running.exception()}
        )


def _named(coroutine: Any, verb: Callable[..., Any]) -> Any:
    functools.update_wrapper(coroutine, verb)
    coroutine.__name__ = f"a{verb.__name__}"
    coroutine.__qualname__ = f"{verb.__qualname__.rpartition('.')[0]}.{coroutine.__name__}"
    coroutine.__doc__ = f"`{verb.__name__}`, awaited: it runs in a thread, and the event loop goes on."
    return coroutine
