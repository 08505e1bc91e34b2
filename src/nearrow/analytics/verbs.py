"""Verbs: what may be asked of all rows of a collection at once?"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from nearrow.awaitable import awaited_read
from nearrow.errors import NotFoundError
from nearrow.metrics import CollectionMetrics, timed
from nearrow.progress import bar
from nearrow.schema import CollectionConfig
from nearrow.segment.view import View

if TYPE_CHECKING:
    import pandas
    import polars
    from pyarrow import fs

    from nearrow.analytics.graph_report import GraphReport
    from nearrow.analytics.snapshot_metadata import SnapshotMetadata


class AnalyticVerbs:
    """The part of `Collection` that looks at whole views; the collection gives name, view and rows."""

    if TYPE_CHECKING:
        metrics: CollectionMetrics

        @property
        def name(self) -> str: ...
        @property
        def config(self) -> CollectionConfig: ...
        def to_arrow(self) -> pa.Table: ...
        def __len__(self) -> int: ...
        @property
        def search(self) -> Callable[..., Any]: ...
        def scan(
            self, where: Any = None, columns: Sequence[str] | None = None, batch_rows: int = 65536
        ) -> pa.RecordBatchReader: ...
        def _view(self) -> View: ...

    @timed
    def sql(self, query: str, parameters: Any = None, *, hits: Any = None, format: str = "arrow") -> Any:
        """DuckDB over the live rows, zero-copy: this collection is the table of its name.

        parameters: a list for ? or a dict for $name. hits: what a search returned, as the table "hits".
        format: "arrow", "pandas", "polars", or "json" (text). The query sees one consistent version, cannot change
        rows and reaches no file or network. Raises InvalidArgumentError with what DuckDB says of a query that is wrong.

        A search stands in it as FROM nearest('docs', $vector, k := 10, filter := 'year > 2000'); text :=, ef_search :=,
        exact := and within := are those of `search`. Its columns: id, distance, score, and the rows' but the vector.
        """
        from nearrow.analytics.sql import run_sql

        views = {self.name: self._view()}
        return run_sql(query, views, parameters, hits=hits, format=format, search=self._nearest)

    def _nearest(self, name: str, vector: Any, **arguments: Any) -> Any:
        if name != self.name:
            raise NotFoundError(f"nearest() is asked of {name!r}, but this is {self.name!r}; ask the database's sql()")
        return self.search(vector, **arguments)

    asql = awaited_read(sql)

    @timed
    def snapshot(
        self,
        path: str | os.PathLike[str],
        *,
        compression: str = "snappy",
        row_group_rows: int = 1 << 15,
        data_page_bytes: int = 1 << 20,
        byte_stream_split: bool = True,
        filesystem: fs.FileSystem | None = None,
        every: float | timedelta | None = None,
        keep: int | None = None,
    ) -> Any:
        """Copy the rows, as they are at this moment, into a directory of Parquet tables; writers need not stop.

        `path`: a directory, or a URL that pyarrow knows (s3://, gs://, file://), or a path in `filesystem`. Below it,
        vectors.parquet has the rows, neighbors.parquet and layers.parquet the graphs, metadata.parquet settings and
        digests. A snapshot of this collection that is there is replaced, and what did not change is not written again.
        The graphs of segments without dead rows come back at restore without a rebuild; compact() makes all such.
        compression: "snappy", "zstd", "lz4", "gzip" or "none". Returns the metadata.

        keep: `path` holds a series of snapshots, named by time: add one, then remove all but the newest `keep`.
        every: add one now and every so many seconds; returns a SnapshotSchedule, to be stopped. It ends with the collection.
        """
        from nearrow.analytics.snapshot import write_snapshot
        from nearrow.analytics.snapshot_address import place_of
        from nearrow.analytics.snapshot_files import ParquetOptions
        from nearrow.analytics.snapshot_series import SnapshotSchedule, SnapshotSeries

        options = ParquetOptions(compression, row_group_rows, data_page_bytes, byte_stream_split)
        place = place_of(path, filesystem)
        if every is None and keep is None:
            metadata = write_snapshot(self._view(), self.config, place, options)
            self._note_snapshot(metadata)
            return metadata
        series = SnapshotSeries(lambda: (self._view(), self.config), place, options, keep, self._note_snapshot)
        return series.add() if every is None else SnapshotSchedule(series, every)

    def _note_snapshot(self, metadata: SnapshotMetadata) -> None:
        self.metrics.last_snapshot = metadata.created_at

    def graph_report(self) -> list[GraphReport]:
        """How sound each segment's graph is: nodes of each level, degrees, what is reached from the entry, components."""
        from nearrow.analytics.graph_report import report_of

        return [report_of(part.graph) for part in self._view().parts if part.graph is not None]

    def plot(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        color: str | None = None,
        sample: int = 2000,
        k: int = 10,
        queries: int = 100,
    ) -> Any:
        """Draw three pictures: recall over ef, the degrees of the graph, and rows in two dimensions, coloured by a column.

        Needs matplotlib: pip install nearrow[plot]. Returns its Figure; `path`: also written there, .png, .svg or .pdf.
        sample: rows in the projection (the two directions in which they vary most). queries, k: for the curve, measured
        against exact search on this data.
        """
        from nearrow.analytics.plot import plot_collection

        return plot_collection(self, path, color=color, sample=sample, k=k, queries=queries)

    def export(
        self,
        path: str | os.PathLike[str],
        *,
        where: Any = None,
        columns: Sequence[str] | None = None,
        progress: bool = False,
    ) -> int:
        """Write the rows that match, or all, to a new file, as its suffix says; returns how many.

        .parquet, .arrow, .feather, .csv and .jsonl (nested values as JSON), .npz ("ids" and "vectors"), .npy (the vectors).
        """
        from nearrow.analytics.exchange.export import export_rows

        rows = self.scan(where, columns)
        with bar(f"exporting {self.name}", None if where is not None else len(self), progress) as advance:
            return export_rows(rows, path, advance)

    def to_pandas(self) -> pandas.DataFrame:
        """All rows as a pandas frame."""
        frame: pandas.DataFrame = self.to_arrow().to_pandas()
        return frame

    def to_polars(self) -> polars.DataFrame:
        """All rows as a polars frame."""
        import polars

        frame = polars.from_arrow(self.to_arrow())
        assert isinstance(frame, polars.DataFrame)
        return frame
