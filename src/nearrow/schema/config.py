"""Config: which settings does a collection have, and which values may they take?"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from nearrow.errors import InvalidArgumentError
from nearrow.schema.model_identity import ModelIdentity

METRICS = ("l2", "cosine", "dot")
METRIC_ALIASES = {"euclidean": "l2", "ip": "dot", "inner_product": "dot"}
DURABILITIES = ("full", "batched", "off")
EF_CONSTRUCTION = 80  # the kernel's own default: docs/decisions/032-kernel-build.md
DTYPES = ("float32", "float16")
CODE_WIDTHS: dict[str, Literal["auto", 4, 8] | None] = {"auto": "auto", "none": None, "4": 4, "8": 8}
CODES = tuple(CODE_WIDTHS)
TOKENIZERS = ("simple", "whitespace", "raw")
STEMMERS = (
    "arabic", "danish", "dutch", "english", "finnish", "french", "german", "greek", "hungarian", "italian",
    "norwegian", "portuguese", "romanian", "russian", "spanish", "swedish", "tamil", "turkish",
)  # fmt: skip
ID_COLUMN = "id"
VECTOR_COLUMN = "vector"
NAME_BYTES_MAX = 128
DIMENSION_MAX = 65_536
TEXT_FIELDS_MAX = 64


def nearest_name(name: str, known: Iterable[str]) -> str:
    """ "; did you mean 'metric'?" or the list of what is known, to end an error message with."""
    names = sorted(known)
    close = difflib.get_close_matches(name.lower(), [n.lower() for n in names], n=1, cutoff=0.6)
    if close:
        original = next(n for n in names if n.lower() == close[0])
        return f"; did you mean {original!r}?"
    shown = ", ".join(repr(n) for n in names[:20])
    return f"; known: {shown}{', …' if len(names) > 20 else ''}" if names else ""


def validate_name(name: str, what: str = "collection name") -> str:
    """Return `name`, or raise InvalidArgumentError.

    Any printable text up to 128 bytes is a name, for files are never named after it: only control characters, slashes,
    and leading or trailing spaces are refused, because they are mistakes in a listing or an URL.
    """
    if not isinstance(name, str):
        raise InvalidArgumentError(f"{what} must be a str, not {type(name).__name__}")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise InvalidArgumentError(f"{what} {name!r} is not valid Unicode") from None
    if not name or name != name.strip():
        raise InvalidArgumentError(f"{what} {name!r} is empty or has spaces around it")
    if size > NAME_BYTES_MAX:
        raise InvalidArgumentError(f"{what} is {size} bytes long; the limit is {NAME_BYTES_MAX}")
    if not name.isprintable() or "/" in name or "\\" in name or name in (".", ".."):
        raise InvalidArgumentError(f"{what} {name!r} has control characters or slashes; use letters, digits, - _ .")
    return name


def validate_column_name(name: str) -> str:
    """Return `name` if a column may be called that: not empty, no leading `_` (reserved) or `$` (operators)."""
    if not isinstance(name, str) or not name:
        raise InvalidArgumentError(f"a column name must be a non-empty str, not {name!r}")
    if name.startswith("_"):
        raise InvalidArgumentError(f"column {name!r}: names that start with '_' are reserved; rename the column")
    if name.startswith("$"):
        raise InvalidArgumentError(f"column {name!r}: names that start with '$' are operators; rename the column")
    return name


def _one_of(what: str, value: object, allowed: tuple[str, ...], aliases: Mapping[str, str] | None = None) -> str:
    known = (*allowed, *(aliases or ()))
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{what} must be one of {', '.join(map(repr, known))}, not {value!r}")
    if value not in known:
        raise InvalidArgumentError(f"unknown {what} {value!r}{nearest_name(value, known)}")
    return (aliases or {}).get(value, value)


def _integer(what: str, value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise InvalidArgumentError(f"{what} must be an int from {low} to {high}, not {value!r}")
    number = int(value.__index__())
    if not low <= number <= high:
        raise InvalidArgumentError(f"{what} must be from {low} to {high}, not {number}")
    return number


def _known_keys(what: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    names = set(known)
    for key in given:
        if key not in names:
            raise InvalidArgumentError(f"unknown {what} setting {key!r}{nearest_name(str(key), names)}")


@dataclass(frozen=True)
class TextSettings:
    """How one text field is cut into terms.

    stemmer: a language of STEMMERS ("runs" finds "running"), or None to take words as they are written.
    stop_words: such a language, a tuple of words, or None.
    """

    tokenizer: str = "simple"
    stemmer: str | None = "english"
    stop_words: str | tuple[str, ...] | None = None
    ascii_folding: bool = True

    def __post_init__(self) -> None:
        _one_of("tokenizer", self.tokenizer, TOKENIZERS)
        if self.stemmer is not None:
            _one_of("stemmer", self.stemmer, STEMMERS)
        if isinstance(self.stop_words, str):
            _one_of("stop_words language", self.stop_words, STEMMERS)
        elif self.stop_words is not None:
            words = tuple(self.stop_words)
            if not all(isinstance(word, str) and word for word in words):
                raise InvalidArgumentError("stop_words must be a language or non-empty words")
            object.__setattr__(self, "stop_words", words)
        if not isinstance(self.ascii_folding, bool):
            raise InvalidArgumentError(f"ascii_folding must be True or False, not {self.ascii_folding!r}")

    def to_dict(self) -> dict[str, Any]:
        stop_words = list(self.stop_words) if isinstance(self.stop_words, tuple) else self.stop_words
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"stop_words": stop_words}

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> TextSettings:
        if not isinstance(settings, Mapping):
            raise InvalidArgumentError(f"text settings must be a dict, not {type(settings).__name__}")
        _known_keys("text", settings, (f.name for f in fields(cls)))
        return cls(**settings)


@dataclass(frozen=True)
class CollectionConfig:
    """Every setting of a collection; fixed when it is created, stored in its manifest.

    Raises InvalidArgumentError for a value out of its domain. `metric` aliases ("euclidean", "ip") are resolved.
    `text_settings` takes a mapping field → TextSettings (or dict) and keeps it as sorted pairs, so that configs hash.
    """

    name: str
    dimension: int
    metric: str = "cosine"
    text_fields: tuple[str, ...] = ()
    m: int = 16
    ef_construction: int = EF_CONSTRUCTION
    ml: float | None = None
    durability: str = "full"
    dtype: str = "float32"
    codes: str = "auto"
    seed: int = 0
    memtable_rows: int = 8192
    memtable_bytes: int = 64 << 20
    graph_rows_min: int = 2048  # smaller segments are scanned
    text_settings: tuple[tuple[str, TextSettings], ...] = ()
    embedding: ModelIdentity | None = None  # of the model that makes its vectors, if it has one

    def __post_init__(self) -> None:
        put = self._put
        validate_name(self.name)
        put("dimension", _integer("dimension", self.dimension, 1, DIMENSION_MAX))
        put("metric", _one_of("metric", self.metric, METRICS, METRIC_ALIASES))
        put("m", _integer("m", self.m, 2, 512))
        put("ef_construction", _integer("ef_construction", self.ef_construction, 1, 100_000))
        put("seed", _integer("seed", self.seed, 0, 2**63 - 1))
        put("memtable_rows", _integer("memtable_rows", self.memtable_rows, 1, 2**31 - 1))
        put("memtable_bytes", _integer("memtable_bytes", self.memtable_bytes, 1, 2**62))
        put("graph_rows_min", _integer("graph_rows_min", self.graph_rows_min, 1, 2**31 - 1))
        put("durability", _one_of("durability", self.durability, DURABILITIES))
        put("dtype", _one_of("dtype", self.dtype, DTYPES))
        put("codes", _one_of("codes", "none" if self.codes is None else str(self.codes), CODES))
        if self.ml is not None:
            if isinstance(self.ml, bool) or not isinstance(self.ml, (int, float)) or not 0 <= self.ml <= 10:
                raise InvalidArgumentError(f"ml must be None (1 / ln m) or a number from 0 to 10, not {self.ml!r}")
            put("ml", float(self.ml))
        put("text_fields", self._checked_text_fields())
        put("text_settings", self._checked_text_settings())
        put("embedding", self._checked_embedding())

    def _put(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # while it is made, a frozen dataclass has no other way

    def _checked_text_fields(self) -> tuple[str, ...]:
        if isinstance(self.text_fields, str):
            raise InvalidArgumentError(f"text_fields must be a list of names; write [{self.text_fields!r}]")
        names = tuple(self.text_fields or ())
        for name in names:
            validate_column_name(name)
            if name in (ID_COLUMN, VECTOR_COLUMN):
                raise InvalidArgumentError(f"text field {name!r} is the name of another column; choose another name")
        if len(set(names)) != len(names) or len(names) > TEXT_FIELDS_MAX:
            raise InvalidArgumentError(f"text_fields {list(names)} repeats a name or has more than {TEXT_FIELDS_MAX}")
        return names

    def _checked_text_settings(self) -> tuple[tuple[str, TextSettings], ...]:
        given = self.text_settings
        pairs = list(given.items()) if isinstance(given, Mapping) else list(given or ())
        checked = {}
        for name, settings in pairs:
            if name not in self.text_fields:
                raise InvalidArgumentError(
                    f"text_settings for {name!r}: no such text field{nearest_name(name, self.text_fields)}"
                )
            checked[name] = settings if isinstance(settings, TextSettings) else TextSettings.from_dict(settings)
        return tuple(sorted(checked.items()))

    def _checked_embedding(self) -> ModelIdentity | None:
        given = self.embedding
        model = ModelIdentity.from_dict(given) if isinstance(given, Mapping) else given
        if model is not None and not isinstance(model, ModelIdentity):
            raise InvalidArgumentError(f"embedding must be a model's identity, not {type(model).__name__}")
        if model is not None and model.dimension != self.dimension:
            raise InvalidArgumentError(
                f"the model {model.name!r} gives {model.dimension} dimensions, not {self.dimension}; leave dimension out"
            )
        return model

    def text_settings_of(self, field: str) -> TextSettings:
        return dict(self.text_settings).get(field, TextSettings())

    @property
    def code_width(self) -> Literal["auto", 4, 8] | None:
        """`codes` as the kernel takes it: bits of a walk code, "auto" = chosen by measured recall, None = no codes."""
        return CODE_WIDTHS[self.codes]

    def renamed(self, name: str) -> CollectionConfig:
        return replace(self, name=name)

    def to_dict(self) -> dict[str, Any]:
        settings = {f.name: getattr(self, f.name) for f in fields(self)}
        settings["text_fields"] = list(self.text_fields)
        settings["text_settings"] = {name: value.to_dict() for name, value in self.text_settings}
        if self.embedding is None:
            del settings["embedding"]  # so that versions which know no models open what has none
        else:
            settings["embedding"] = self.embedding.to_dict()
        return settings

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> CollectionConfig:
        _known_keys("collection", settings, (f.name for f in fields(cls)))
        missing = [name for name in ("name", "dimension") if name not in settings]
        if missing:
            raise InvalidArgumentError(f"the collection config lacks {', '.join(map(repr, missing))}")
        return cls(**settings)

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> CollectionConfig:
        """The inverse of `to_json`; an unknown key, metric or value raises InvalidArgumentError naming it."""
        try:
            settings = json.loads(text)
        except ValueError as error:
            raise InvalidArgumentError(f"the collection config is not JSON: {error}") from None
        if not isinstance(settings, dict):
            raise InvalidArgumentError(f"the collection config must be a JSON object, not {type(settings).__name__}")
        return cls.from_dict(settings)


__all__ = [
    "ID_COLUMN",
    "VECTOR_COLUMN",
    "CollectionConfig",
    "TextSettings",
    "nearest_name",
    "validate_column_name",
    "validate_name",
]
