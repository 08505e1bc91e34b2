"""Transaction: how do several writes become one atomic unit?"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from nearrow.errors import ClosedError
from nearrow.schema import Embed, batches, canonical_id_array
from nearrow.write.resolver import Operation
from nearrow.write.writer import Writer, put_into, update_into


class Transaction:
    """Collects writes, checked as they are given; `commit` resolves them in order and makes them one log record.

    Each write sees those before it. What depends on the rows that exist (AlreadyExistsError, NotFoundError) is raised by
    the commit, and then nothing is written.
    """

    def __init__(self, writer: Writer, embed: Embed | None = None) -> None:
        self._writer = writer
        self._config = writer.config
        self._embed = embed
        self._operations: list[Operation] = []
        self._schema: pa.Schema = writer.core.state.schema
        self._done = False

    def add(self, rows: Any = None, **keywords: Any) -> None:
        """Like `Collection.add`."""
        self._put(rows, keywords, refuse_existing=True)

    def upsert(self, rows: Any = None, **keywords: Any) -> None:
        """Like `Collection.upsert`."""
        self._put(rows, keywords, refuse_existing=False)

    def _put(self, rows: Any, keywords: dict[str, Any], *, refuse_existing: bool) -> None:
        self._check()
        checked = batches(rows, **keywords, config=self._config, schema=self._schema, embed=self._embed)
        given, schema = list(checked), checked.schema
        self._schema = schema
        self._operations.append(lambda resolver: put_into(resolver, given, schema, refuse_existing))

    def update(self, rows: Any = None, **keywords: Any) -> None:
        """Like `Collection.update`."""
        self._check()
        checked = batches(rows, **keywords, config=self._config, schema=self._schema, partial=True, embed=self._embed)
        given, schema = list(checked), checked.schema
        self._schema = schema
        self._operations.append(lambda resolver: update_into(resolver, given, schema))

    def delete(self, ids: Any) -> None:
        """Like `Collection.delete`."""
        self._check()
        wanted = canonical_id_array(ids, self._schema)
        self._operations.append(lambda resolver: resolver.delete(wanted))

    def commit(self) -> int:
        """Make all of it durable and visible at once. Returns how many rows it concerned."""
        self._check()
        self._done = True
        return self._writer.apply(self._operations, self._config) if self._operations else 0

    def _check(self) -> None:
        if self._done:
            raise ClosedError("the transaction has ended; begin another one")
