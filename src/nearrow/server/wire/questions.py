"""Wire questions: how do the arguments of search() travel?

A question is a JSON object with the names of `Collection.search`, all but the vector, and without those that have their
default. Its parameters are read off that method, so that a new one travels at once.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from nearrow.collection import Collection
from nearrow.errors import FilterError, InvalidArgumentError
from nearrow.index.text import TextQuery
from nearrow.query.fusion import RRF, Max, Min, Weighted
from nearrow.schema import nearest_name
from nearrow.server.wire.values import encode

DEFAULTS: Mapping[str, Any] = {
    name: parameter.default
    for name, parameter in inspect.signature(Collection.search).parameters.items()
    if name not in ("self", "vector")
}
FUSIONS: Mapping[str, Any] = {"rrf": RRF, "weighted": Weighted, "max": Max, "min": Min}
STAY = ("rerank", "query")
"""What cannot be sent: a function, and words for a model, which a server does not have."""
_SCALARS = (str, int, float, bool, type(None))


def question(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a search as JSON has them. InvalidArgumentError for a function, which cannot travel."""
    asked = {}
    for name, value in settings.items():
        default = DEFAULTS[name]
        if value is default or (type(value) is type(default) and isinstance(value, _SCALARS) and value == default):
            continue
        asked[name] = _encoded(name, value)
    return asked


def settings_of(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments for `Collection.search` that a decoded question means; InvalidArgumentError names an unknown one."""
    for name in asked:
        if name not in DEFAULTS or name in STAY:
            known = [known for known in DEFAULTS if known not in STAY]
            raise InvalidArgumentError(f"unknown search setting {name!r}{nearest_name(str(name), known)}")
    settings = dict(asked)
    if "text" in settings:
        settings["text"] = _text_of(settings["text"])
    if isinstance(settings.get("fusion"), Mapping):
        settings["fusion"] = _fusion_of(settings["fusion"])
    return settings


def encoded_filter(where: Any) -> Any:
    """A filter, or a list of them, as JSON has it; FilterError for what is none."""
    try:
        return encode(where)
    except InvalidArgumentError as error:
        raise FilterError(f"where= takes a dict, an SQL expression or a pyarrow expression: {error}") from None


def _encoded(name: str, value: Any) -> Any:
    if name == "where":
        return encoded_filter(value)
    if name == "text":
        return _encoded_text(value)
    if name == "fusion" and not isinstance(value, str):
        return _encoded_fusion(value)
    if name == "rerank":
        raise InvalidArgumentError("rerank= is a function, which cannot be sent to a server; rerank the hits here")
    return encode(value)


def _encoded_text(text: Any) -> Any:
    if isinstance(text, TextQuery):
        return asdict(text)
    if isinstance(text, (list, tuple)):
        return [_encoded_text(one) for one in text]
    return encode(text)


def _text_of(text: Any) -> Any:
    if isinstance(text, list):
        return [_text_of(one) for one in text]
    if not isinstance(text, Mapping):
        return text
    try:
        return TextQuery(**text)
    except TypeError as error:
        raise InvalidArgumentError(f"text= as an object has the settings of a TextQuery: {error}") from None


def _encoded_fusion(fusion: Any) -> Any:
    for name, kind in FUSIONS.items():
        if type(fusion) is kind:
            return {name: asdict(fusion)}
    if isinstance(fusion, type):
        raise InvalidArgumentError(f"fusion={fusion.__name__} is a class; write {fusion.__name__}()")
    raise InvalidArgumentError(
        f"fusion= must be a name, RRF(…) or Weighted(…) for a server; a {type(fusion).__name__} cannot be sent"
    )


def _fusion_of(spelled: Mapping[str, Any]) -> Any:
    name, settings = next(iter(spelled.items()), ("", None))
    if len(spelled) != 1 or name not in FUSIONS or not isinstance(settings, Mapping):
        raise InvalidArgumentError(f"fusion as an object is {{name: settings}}, name one of {', '.join(FUSIONS)}")
    try:
        return FUSIONS[name](**settings)
    except TypeError as error:
        raise InvalidArgumentError(f"fusion {name!r}: {error}") from None
