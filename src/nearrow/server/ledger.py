"""Ledger: was this write done before?

A client whose connection broke does not know whether its write was done, and asks again with the same request id. Ids of
writes that were done are remembered, the latest of them; one that is under way is waited for. They are not on disk: what
a client does about a server that died in between is in docs/decisions/100.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from nearrow.errors import UnavailableError

REMEMBERED_MAX = 65_536
WAIT_SECONDS = 20.0


class Ledger:
    """What each request id came to. Thread-safe."""

    def __init__(self, remembered_max: int = REMEMBERED_MAX) -> None:
        self._remembered_max = remembered_max
        self._mutex = threading.Lock()
        self._known: OrderedDict[tuple[str, str], Future[Any]] = OrderedDict()

    def once(self, collection: str, request: str | None, write: Callable[[], Any]) -> Any:
        """The result of `write`, which is called unless this request was done before. A failure is not remembered."""
        if request is None:
            return write()
        key = (collection, request)
        while True:
            with self._mutex:
                known = self._known.get(key)
                if known is None:
                    mine: Future[Any] = Future()
                    self._known[key] = mine
                    break
            try:
                return known.result(WAIT_SECONDS)
            except FutureTimeoutError:
                raise UnavailableError("an earlier attempt of this write is still under way; try again") from None
            except _FailedError:
                continue  # what failed there may succeed here
        try:
            result = write()
        except BaseException as error:
            with self._mutex:
                del self._known[key]
            mine.set_exception(_FailedError(str(error)))
            raise
        mine.set_result(result)
        self._forget_oldest()
        return result

    def _forget_oldest(self) -> None:
        with self._mutex:
            while len(self._known) > self._remembered_max:
                oldest = next(iter(self._known))
                if not self._known[oldest].done():
                    return
                del self._known[oldest]


class _FailedError(Exception):
    """Tells those who wait for an attempt that it failed."""
