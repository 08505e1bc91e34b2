"""Model: what should a collection hold, and what should a search find?

A dict and brute force, nothing else. `Model.apply` says what a write must do, or which error it must raise; `compare`
reads a collection in every way there is and compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nearrow.collection import Collection
from nearrow.errors import AlreadyExistsError, NotFoundError

Row = dict[str, Any]
Operation = tuple[str, Any]
"""("add" | "upsert" | "update", rows), ("delete", ids), ("transaction", operations) or an upkeep verb: ("flush", None)."""

UPKEEP = ("flush", "compact", "wait")


class Model:
    """Rows by id, in the order of their versions: the oldest version first."""

    def __init__(self, rows: Mapping[Any, Row] | None = None) -> None:
        self.rows: dict[Any, Row] = dict(rows or {})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and self.rows == other.rows

    __hash__ = None  # type: ignore[assignment]  # it changes

    def after(self, operation: Operation) -> tuple[Model, type[Exception] | None]:
        """The model after the operation, and the error that it must raise (nothing is written then)."""
        later = Model(self.rows)
        error = later._apply(*operation)
        return (self, error) if error is not None else (later, None)

    def _apply(self, kind: str, given: Any) -> type[Exception] | None:
        if kind == "add":
            names = [row["id"] for row in given]
            if len(set(names)) < len(names) or any(name in self.rows for name in names):
                return AlreadyExistsError
            self._put(given)
        elif kind == "upsert":
            self._put(given)
        elif kind == "update":
            if any(row["id"] not in self.rows for row in given):
                return NotFoundError
            self._put([{**self.rows[row["id"]], **row} for row in given])
        elif kind == "delete":
            for name in given:
                self.rows.pop(name, None)
        elif kind == "transaction":
            for operation in given:
                error = self._apply(*operation)
                if error is not None:
                    return error
        return None

    def _put(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self.rows.pop(row["id"], None)  # a new version goes to the end
            self.rows[row["id"]] = present(row)

    def nearest(self, metric: str, query: Sequence[float]) -> list[tuple[float, Any]]:
        """(distance, id) of every row, nearest first; ties by age of the version."""
        if not self.rows:
            return []
        distances = brute_force(metric, [row["vector"] for row in self.rows.values()], query)
        order = np.argsort(distances.astype(np.float32), kind="stable")
        names = list(self.rows)
        return [(float(distances[index]), names[index]) for index in order]


def present(row: Mapping[str, Any]) -> Row:
    """The row without its nulls: a null and a column that came later read the same."""
    return {name: value for name, value in row.items() if value is not None}


def brute_force(metric: str, vectors: Sequence[Sequence[float]], query: Sequence[float]) -> npt.NDArray[np.float64]:
    """Distances in float64."""
    matrix, point = np.asarray(vectors, np.float64), np.asarray(query, np.float64)
    if metric == "l2":
        found: npt.NDArray[np.float64] = ((matrix - point) ** 2).sum(axis=1)
        return found
    dots: npt.NDArray[np.float64] = matrix @ point
    if metric == "dot":
        return -dots
    return 1 - dots / (np.linalg.norm(matrix, axis=1) * np.linalg.norm(point))


def run(collection: Collection, operation: Operation) -> None:
    """Do to a collection what `Model.after` says."""
    kind, given = operation
    if kind in UPKEEP:
        getattr(collection, kind)()
    elif kind == "transaction":
        with collection.transaction() as transaction:
            for name, argument in given:
                getattr(transaction, name)(argument)
    else:
        getattr(collection, kind)(given)


def read_rows(collection: Collection) -> dict[Any, Row]:
    """Everything in the collection, by id; AssertionError if an id comes twice."""
    rows = rows_of(collection.to_arrow())
    found = {row["id"]: row for row in rows}
    assert len(found) == len(rows), "an id stands in more than one row"
    return found


def ids_by_age(collection: Collection, names: Sequence[Any]) -> list[Any]:
    """These ids, the oldest version first: a version written again with the same content is told by its row number."""
    view = collection._store.view
    owner, position = view.find(pa.array(names))
    assert (position >= 0).all()
    return [names[index] for index in np.argsort(view.row_numbers_at(owner, position)).tolist()]


def rows_of(table: pa.Table) -> list[Row]:
    return [present(row) for row in table.to_pylist()]


def compare(model: Model, collection: Collection) -> None:
    """AssertionError unless scan, count, len, get and `in` all say what the model says."""
    found = read_rows(collection)
    assert_same_rows(model.rows, found)
    assert collection.count() == len(collection) == len(model.rows)
    names = list(model.rows)
    if names:
        assert rows_of(collection.get(names[::-1])) == [model.rows[name] for name in names[::-1]]
        assert names[0] in collection


def assert_same_rows(expected: Mapping[Any, Row], found: Mapping[Any, Row]) -> None:
    """AssertionError that says which rows are lost, resurrected or wrong."""
    lost = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    wrong = [name for name in expected if name in found and expected[name] != found[name]]
    shown = [(expected[name], found[name]) for name in wrong[:2]]
    problems = [*lost, *extra, *wrong]
    assert not problems, f"lost {lost[:5]}, too many {extra[:5]}, wrong {wrong[:5]}: {shown}"


def compare_search(model: Model, collection: Collection, query: Sequence[float], k: int, *, exact: bool) -> None:
    """AssertionError unless a search gives min(k, rows) true hits in order, and the very nearest if it is exact."""
    metric = collection.config.metric
    truth = model.nearest(metric, query)
    hits = collection.search(query, k=k, exact=exact, columns=["id"])
    distance_of = {name: distance for distance, name in truth}
    names, distances = hits.ids.tolist(), hits.distances.tolist()
    assert len(names) == len(set(names)) == min(k, len(truth)), f"{len(names)} hits of {min(k, len(truth))}"
    assert distances == sorted(distances)
    for name, distance in zip(names, distances, strict=True):
        assert name in distance_of, f"hit {name!r} does not exist"
        assert close(distance, distance_of[name]), f"{name!r}: {distance} is not {distance_of[name]}"
    if exact:
        for found, (expected, _) in zip(distances, truth, strict=False):
            assert close(found, expected)
        if metric != "cosine":  # small integers: exact in any precision, so ties are decided by age
            assert names == [name for _, name in truth[:k]], f"not by age: {names} {distances}, not {truth[:k]}"


def compare_within(model: Model, collection: Collection, query: Sequence[float], radius: float) -> None:
    """AssertionError unless a range search finds the rows within `radius`, no more and no less."""
    truth = model.nearest(collection.config.metric, query)
    hits = collection.search(query, k=None, within=radius, columns=["id"])
    clearly = {name for distance, name in truth if distance < radius - 1e-4}
    at_most = {name for distance, name in truth if distance <= radius + 1e-4}
    assert clearly <= set(hits.ids.tolist()) <= at_most
    assert hits.distances.tolist() == sorted(hits.distances.tolist())


def close(found: float, expected: float) -> bool:
    return abs(found - expected) <= 1e-5 * max(1.0, abs(expected))
