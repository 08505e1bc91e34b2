"""Client transaction: how do several writes to a server become one atomic unit?"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from nearrow.errors import ClosedError
from nearrow.schema import CollectionConfig, batches, canonical_id_array
from nearrow.server.client.connection import Connection
from nearrow.server.client.sending import send
from nearrow.server.wire.transactions import SCHEMA, pack


class RemoteTransaction:
    """Like `nearrow.write.transaction.Transaction`: writes are checked as they are given, and sent by the commit."""

    def __init__(self, connection: Connection, config: CollectionConfig, schema: pa.Schema) -> None:
        self._connection = connection
        self._config = config
        self._schema = schema
        self._writes: list[pa.RecordBatch] = []
        self._done = False

    def add(self, rows: Any = None, **keywords: Any) -> None:
        """Like `Collection.add`."""
        self._put("add", rows, keywords, partial=False)

    def upsert(self, rows: Any = None, **keywords: Any) -> None:
        """Like `Collection.upsert`."""
        self._put("upsert", rows, keywords, partial=False)

    def update(self, rows: Any = None, **keywords: Any) -> None:
        """Like `Collection.update`."""
        self._put("update", rows, keywords, partial=True)

    def delete(self, ids: Any) -> None:
        """Like `Collection.delete`."""
        self._check()
        self._writes.append(pack("delete", pa.table({"id": canonical_id_array(ids, self._schema)})))

    def _put(self, write: str, rows: Any, keywords: dict[str, Any], *, partial: bool) -> None:
        self._check()
        checked = batches(rows, **keywords, config=self._config, schema=self._schema, partial=partial)
        given = list(checked)
        self._schema = checked.schema
        if partial:  # each batch has columns of its own
            self._writes += [pack(write, pa.Table.from_batches([batch])) for batch in given]
        elif given:
            self._writes.append(pack(write, pa.Table.from_batches(given)))

    def commit(self) -> int:
        """Make all of it durable and visible at once. Returns how many rows it concerned."""
        self._check()
        self._done = True
        if not self._writes:
            return 0
        return send(
            self._connection,
            self._config.name,
            "transaction",
            SCHEMA,
            lambda: self._writes,
            repeatable=True,
            advance=lambda rows: None,
        )

    def _check(self) -> None:
        if self._done:
            raise ClosedError("the transaction has ended; begin another one")
