"""Limits: how much may one client ask of the server?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nearrow.errors import InvalidArgumentError


@dataclass(frozen=True)
class Limits:
    """What is refused with InvalidArgumentError, or, of the last two, with UnavailableError.

    k, queries, hits: rows for one query, queries in one message, rows in one answer. dimension: of a new collection.
    batch_rows, message_bytes: of one message of a stream. request_bytes: of a ticket, an action, a question with its
    filter. calls: RPCs at once, open streams among them. memory_bytes: anonymous memory of the process.
    """

    k: int = 16_384
    queries: int = 16_384
    hits: int = 1_000_000
    dimension: int = 16_384
    batch_rows: int = 1_000_000
    message_bytes: int = 256 << 20
    request_bytes: int = 8 << 20
    calls: int = 512
    memory_bytes: int | None = None

    def check_request(self, size: int) -> None:
        if size > self.request_bytes:
            raise InvalidArgumentError(f"the request has {size:,} bytes; the server takes {self.request_bytes:,}")

    def check_message(self, rows: int, size: int) -> None:
        if size > self.message_bytes:
            raise InvalidArgumentError(
                f"a message has {size:,} bytes; the server takes {self.message_bytes:,}: send smaller batches"
            )
        if rows > self.batch_rows:
            raise InvalidArgumentError(
                f"a batch has {rows:,} rows; the server takes {self.batch_rows:,}: send smaller batches"
            )

    def check_question(self, queries: int, settings: Mapping[str, Any]) -> None:
        """Before anything is searched."""
        if queries > self.queries:
            raise InvalidArgumentError(f"{queries:,} queries in one message; the server takes {self.queries:,}")
        k = settings.get("k", 10)
        if isinstance(k, int) and k > self.k:
            raise InvalidArgumentError(f"k is {k:,}; the server takes {self.k:,}: use scan() for all rows")
        if isinstance(k, int) and k * queries > self.hits:
            raise InvalidArgumentError(f"{queries:,} queries with k={k:,}: more than {self.hits:,} rows in one answer")

    def check_hits(self, hits: int) -> None:
        if hits > self.hits:
            raise InvalidArgumentError(
                f"{hits:,} rows are within that distance; the server sends {self.hits:,} at most"
            )

    def check_dimension(self, dimension: object) -> None:
        if isinstance(dimension, int) and dimension > self.dimension:
            raise InvalidArgumentError(f"dimension is {dimension:,}; the server takes {self.dimension:,}")
