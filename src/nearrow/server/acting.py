"""Acting: what does DoAction do? One function for each action of `wire.actions`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

from nearrow.errors import InvalidArgumentError, NotFoundError
from nearrow.schema import CollectionConfig, nearest_name
from nearrow.server.backend import Backend, refuse_models
from nearrow.server.searching import search
from nearrow.server.wire.actions import ACTIONS
from nearrow.server.wire.questions import settings_of
from nearrow.server.wire.records import record_dict
from nearrow.server.wire.requests import check_request
from nearrow.server.wire.values import encode

Arguments = Mapping[str, Any]
Answer = Callable[[Backend, Arguments], Any]
ANSWERS: dict[str, Answer] = {}


def answer(backend: Backend, name: str, arguments: Arguments) -> Any:
    """What the action comes to, as JSON has it. Its role was checked."""
    action = ACTIONS[name]
    known = [argument.rstrip("?") for argument in action.arguments]
    for given in arguments:
        if given not in known:
            raise InvalidArgumentError(f"the action {name!r} takes no {given!r}{nearest_name(given, known)}")
    for argument in action.arguments:
        if not argument.endswith("?") and argument not in arguments:
            raise InvalidArgumentError(f"the action {name!r} needs {argument!r}")
    return ANSWERS[name](backend, arguments)


def _answers(name: str) -> Callable[[Answer], Answer]:
    def register(function: Answer) -> Answer:
        ANSWERS[name] = function
        return function

    return register


def _given(arguments: Arguments, *without: str) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if name not in ("collection", "request", *without)}


# ---- the server


@_answers("health")
def _health(backend: Backend, _: Arguments) -> Any:
    return {"status": "ok", "version": version("nearrow"), "seconds": round(time.monotonic() - backend.began, 3)}


@_answers("readiness")
def _readiness(backend: Backend, _: Arguments) -> Any:
    return {"ready": not backend.gate.draining}


@_answers("collections")
def _collections(backend: Backend, _: Arguments) -> Any:
    return backend.database.collections()


@_answers("create")
def _create(backend: Backend, arguments: Arguments) -> Any:
    name, settings = arguments["collection"], arguments.get("settings", {})
    if not isinstance(settings, Mapping):
        raise InvalidArgumentError(f"settings is an object, not {settings!r:.60}")
    refuse_models(settings)
    backend.limits.check_dimension(arguments["dimension"])
    config = CollectionConfig.from_dict({**settings, "name": name, "dimension": arguments["dimension"]})
    make = backend.database.create_collection
    if arguments.get("exist_ok") is True:
        make = backend.database.get_or_create_collection
    return make(**config.to_dict()).config.to_dict()


@_answers("drop")
def _drop(backend: Backend, arguments: Arguments) -> Any:
    backend.database.drop_collection(arguments["collection"])


@_answers("restore")
def _restore(backend: Backend, arguments: Arguments) -> Any:
    path = backend.snapshot_path(arguments["name"])
    return backend.database.restore(path, arguments.get("collection")).config.to_dict()


@_answers("check")
def _check(backend: Backend, arguments: Arguments) -> Any:
    return record_dict(backend.database.check_collection(arguments["collection"]))


@_answers("repair")
def _repair(backend: Backend, arguments: Arguments) -> Any:
    return record_dict(backend.database.repair_collection(arguments["collection"]))


# ---- one collection, reading


@_answers("describe")
def _describe(backend: Backend, arguments: Arguments) -> Any:
    return backend.collection(arguments["collection"]).config.to_dict()


@_answers("count")
def _count(backend: Backend, arguments: Arguments) -> Any:
    return backend.collection(arguments["collection"]).count(arguments.get("where"))


@_answers("contains")
def _contains(backend: Backend, arguments: Arguments) -> Any:
    return arguments["id"] in backend.collection(arguments["collection"])


@_answers("search")
def _search(backend: Backend, arguments: Arguments) -> Any:
    collection = backend.collection(arguments["collection"])
    like, asked = arguments["id"], arguments.get("question", {})
    found = collection.get([like], columns=["vector"])
    if len(found) == 0:
        raise NotFoundError(f"no row has the id {like!r:.80}")
    settings = settings_of(asked)
    k = settings.get("k", 10)
    if isinstance(k, int) and not isinstance(k, bool):
        settings["k"] = k + 1
    vector = np.asarray(found.column("vector")[0].values.to_numpy(zero_copy_only=False), np.float32)
    batch, _about = search(backend, collection.name, vector, settings)
    rows = [row for row in batch.to_pylist() if row["id"] != like]
    return encode(rows[:k])


@_answers("snippet")
def _snippet(backend: Backend, arguments: Arguments) -> Any:
    hits = backend.collection(arguments["collection"]).search(
        k=1, columns=["id"], **settings_of({"text": arguments["text"]})
    )
    if hits.snippet is None:
        raise InvalidArgumentError("this collection has no texts yet")
    return record_dict(hits.snippet(arguments["value"], arguments["field"]))


@_answers("facets")
def _facets(backend: Backend, arguments: Arguments) -> Any:
    given = _given(arguments, "facets")
    if "text" in given:
        given["text"] = settings_of({"text": given["text"]})["text"]
    return encode(backend.collection(arguments["collection"]).facets(arguments["facets"], **given))


@_answers("recall")
def _recall(backend: Backend, arguments: Arguments) -> Any:
    backend.limits.check_question(1, {"k": arguments.get("k", 10)})
    measured = backend.collection(arguments["collection"]).recall(**_given(arguments))
    return {
        "value": float(measured),
        "k": measured.k,
        "queries": measured.queries,
        "worst": measured.worst,
        "filtered": measured.filtered,
    }


@_answers("stats")
def _stats(backend: Backend, arguments: Arguments) -> Any:
    return record_dict(backend.collection(arguments["collection"]).stats())


# ---- one collection, writing


@_answers("delete")
def _delete(backend: Backend, arguments: Arguments) -> Any:
    collection = backend.collection(arguments["collection"])
    return _once(backend, arguments, lambda: collection.delete(arguments.get("ids"), where=arguments.get("where")))


@_answers("update")
def _update(backend: Backend, arguments: Arguments) -> Any:
    collection, values = backend.collection(arguments["collection"]), arguments["values"]
    return _once(backend, arguments, lambda: collection.update(values, where=arguments["where"]))


def _once(backend: Backend, arguments: Arguments, write: Callable[[], int]) -> Any:
    request = arguments.get("request")
    check_request(request)
    return backend.ledger.once(arguments["collection"], request, write)


@_answers("flush")
def _flush(backend: Backend, arguments: Arguments) -> Any:
    backend.collection(arguments["collection"]).flush()


@_answers("compact")
def _compact(backend: Backend, arguments: Arguments) -> Any:
    backend.collection(arguments["collection"]).compact()


@_answers("wait")
def _wait(backend: Backend, arguments: Arguments) -> Any:
    backend.collection(arguments["collection"]).wait()


@_answers("snapshot")
def _snapshot(backend: Backend, arguments: Arguments) -> Any:
    path = backend.snapshot_path(arguments["name"])
    taken = backend.collection(arguments["collection"]).snapshot(path, **_given(arguments, "name"))
    told = {
        "config": taken.config.to_dict(),
        "schema": taken.schema.serialize().to_pybytes(),
        "rows": taken.rows,
        "created_at": taken.created_at,
        "files": {name: {"length": file.length, "digest": file.digest} for name, file in taken.files.items()},
    }
    return encode(told)
