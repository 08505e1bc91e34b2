"""Poison: what stops a writer after a failure whose effect on the disk is unknown (rule 4)?"""

from __future__ import annotations

from types import TracebackType

from nearrow.errors import InvalidArgumentError


class Poison:
    """`with poison:` around what touches the disk. `error` is the first failure inside; None as long as all is well.

    An InvalidArgumentError is no failure: it refuses a request before anything is written.
    """

    __slots__ = ("error",)

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def __enter__(self) -> None:
        """Entered by several threads at once, and again inside."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and self.error is None and not isinstance(error, InvalidArgumentError):
            self.error = error
