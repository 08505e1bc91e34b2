"""Hits: what does a search return?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearrow.errors import InvalidArgumentError, NotFoundError

NO_PARTS: Mapping[str, Any] = {}


class HitRows(Protocol):
    """Where the rest of some hits is read from, when it is asked for."""

    def ids(self) -> npt.NDArray[Any]: ...
    def scores(self) -> npt.NDArray[np.float32]: ...
    def columns(self) -> pa.Table:
        """Those that were asked for, a row for each hit."""

    def cursor(self) -> str | None:
        """For the page behind the last hit; None if nothing is behind it."""


class Hits(Sequence["Hit"]):
    """The rows found, nearest (or best) first.

    ids        object array of str, or int64 array: [n]
    distances  float32 [n]: l2 = squared Euclidean, cosine = 1 - cosine, dot = - dot product; NaN where there is none
    scores     float32 [n]: higher is better; cosine and dot: the similarity, l2: 1 / (1 + distance), text: BM25,
               hybrid: the combined score

    All but the distances is read from the rows when it is first asked for.
    """

    __slots__ = ("_ids", "_read", "_rows", "_scores", "distances", "explanation", "facets", "parts", "snippet")

    def __init__(
        self,
        rows: HitRows,
        distances: npt.NDArray[np.float32],
        *,
        parts: Mapping[str, npt.NDArray[Any]] = NO_PARTS,
    ) -> None:
        self._rows = rows
        self._ids: npt.NDArray[Any] | None = None
        self._scores: npt.NDArray[np.float32] | None = None
        self._read: pa.Table | None = None
        self.distances = distances
        self.parts = parts
        """Further arrays, one value a hit: vector_score, text_score, combined_score, … of a hybrid search."""
        self.facets: Mapping[str, Any] = NO_PARTS
        self.explanation: Any = None
        self.snippet: Callable[[str, str], Any] | None = None

    @property
    def ids(self) -> npt.NDArray[Any]:
        if self._ids is None:
            self._ids = self._rows.ids()
        return self._ids

    @property
    def scores(self) -> npt.NDArray[np.float32]:
        if self._scores is None:
            self._scores = self._rows.scores()
        return self._scores

    @property
    def cursor(self) -> str | None:
        """Give it to the next search as `after=` for the next page; None behind the last row."""
        return self._rows.cursor()

    @property
    def _table(self) -> pa.Table:
        if self._read is None:
            self._read = self._rows.columns()
        return self._read

    def __len__(self) -> int:
        return len(self.distances)

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> list[Hit]: ...
    def __getitem__(self, index: int | slice) -> Hit | list[Hit]:
        if isinstance(index, slice):
            return [Hit(self, i) for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"hit {index} of {len(self)}")
        return Hit(self, index % len(self))

    def __iter__(self) -> Iterator[Hit]:
        return (Hit(self, index) for index in range(len(self)))

    def __repr__(self) -> str:
        shown = ", ".join(f"{hit.id!r}: {hit.distance:.4g}" for hit in self[:5])
        return f"<Hits n={len(self)} [{shown}{', …' if len(self) > 5 else ''}]>"

    def to_arrow(self) -> pa.Table:
        """id, distance, score, the parts of a hybrid score, then the columns asked for: pyarrow.Table."""
        table = self._table
        front = {"distance": self.distances, "score": self.scores, **self.parts}
        columns = {"id": pa.array(self.ids.tolist(), type=self._id_type)}
        columns.update({name: pa.array(values) for name, values in front.items()})
        for name in table.column_names:
            if name not in columns:
                columns[name] = table.column(name)
        return pa.table(columns)

    @property
    def _id_type(self) -> pa.DataType:
        return pa.string() if self.ids.dtype == object else pa.int64()

    def to_pandas(self) -> Any:
        """The same as a pandas frame (needs pandas)."""
        return self.to_arrow().to_pandas()

    def to_polars(self) -> Any:
        """The same as a polars frame (needs polars)."""
        import polars

        return polars.from_arrow(self.to_arrow())

    def to_list(self) -> list[dict[str, Any]]:
        """The same as a list of dicts."""
        rows: list[dict[str, Any]] = self.to_arrow().to_pylist()
        return rows


class Hit:
    """One row found: id, distance, score, and its columns by name: `hit["year"]`."""

    __slots__ = ("_hits", "_index")

    def __init__(self, hits: Hits, index: int) -> None:
        self._hits = hits
        self._index = index

    @property
    def id(self) -> Any:
        value = self._hits.ids[self._index]
        return value.item() if isinstance(value, np.generic) else value

    @property
    def distance(self) -> float:
        return float(self._hits.distances[self._index])

    @property
    def score(self) -> float:
        return float(self._hits.scores[self._index])

    def __getattr__(self, name: str) -> Any:
        """vector_score, text_score, combined_score, … of a hybrid search."""
        if name.startswith("_") or name not in self._hits.parts:
            raise AttributeError(f"a hit of this search has no {name!r}")
        return self._hits.parts[name][self._index].item()

    def __getitem__(self, column: str) -> Any:
        if column == "id":
            return self.id
        table = self._hits._table
        if column not in table.column_names:
            raise NotFoundError(f"no column {column!r} was fetched; there are: {', '.join(table.column_names)}")
        return table.column(column)[self._index].as_py()

    def get(self, column: str, default: Any = None) -> Any:
        """The column's value, or `default` if the search did not fetch such a column."""
        return self[column] if column == "id" or column in self._hits._table.column_names else default

    def keys(self) -> list[str]:
        """The columns fetched."""
        return list(self._hits._table.column_names)

    def snippet(self, field: str) -> Any:
        """The part of the hit's text that shows best why it matches; str() of it marks the words. Text searches only."""
        if self._hits.snippet is None:
            raise InvalidArgumentError("snippets need a text query: search(text=…)")
        return self._hits.snippet(self[field] or "", field)

    def to_dict(self) -> dict[str, Any]:
        """id, distance, score and the columns."""
        front = {"id": self.id, "distance": self.distance, "score": self.score}
        front.update({name: values[self._index].item() for name, values in self._hits.parts.items()})
        return front | {name: self[name] for name in self.keys() if name not in front}

    def __repr__(self) -> str:
        return f"<Hit {self.id!r} distance={self.distance:.4g} score={self.score:.4g}>"
