"""Wire values: how do the values of Python's that JSON lacks travel as JSON?

Each is an object with one key that no filter operator and no column may be called:

    {"$date": "2024-05-01"}  {"$date": "2024-05-01T12:00:00+00:00"}  {"$time": "12:00:00"}  {"$seconds": 1.5}
    {"$decimal": "1.10"}  {"$base64": "AAE="}  {"$float": "nan"}  {"$pairs": [[key, value], …]}
    {"$array": ["float32", [2, 384], base64 of the little-endian values]}
    {"$expression": base64 of a serialised pyarrow expression}
"""

from __future__ import annotations

import base64
import datetime
import json
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nearrow.errors import InvalidArgumentError, NearrowError
from nearrow.server.wire.expressions import expression_bytes, expression_of

ARRAY_TYPES = (
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
)
DEPTH_MAX = 200


def dumps(value: Any) -> bytes:
    """`value` as JSON bytes; InvalidArgumentError for what cannot travel."""
    return json.dumps(encode(value), separators=(",", ":"), allow_nan=False).encode()


def loads(data: bytes) -> Any:
    """The inverse of `dumps`; InvalidArgumentError for anything that is not such JSON."""
    try:
        return decode(json.loads(data))
    except NearrowError:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"the request is not JSON: {str(error) or type(error).__name__}") from None


def encode(value: Any) -> Any:
    """`value` made of what JSON has."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return {key: encode(item) for key, item in value.items()}
        return {"$pairs": [[encode(key), encode(item)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    return _encode_tagged(value)


def _encode_tagged(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.name in ARRAY_TYPES:
        packed = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
        return {"$array": [value.dtype.name, list(value.shape), _text(packed.tobytes())]}
    if isinstance(value, np.ndarray):
        return encode(value.tolist())
    if isinstance(value, (pa.Array, pa.ChunkedArray)):
        return encode(value.to_pylist())
    if isinstance(value, pa.Scalar):
        return encode(value.as_py())
    if isinstance(value, (datetime.datetime, datetime.date)):
        return {"$date": value.isoformat()}
    if isinstance(value, datetime.time):
        return {"$time": value.isoformat()}
    if isinstance(value, datetime.timedelta):
        return {"$seconds": [value.days * 86_400 + value.seconds, value.microseconds]}
    if isinstance(value, Decimal):
        return {"$decimal": str(value)}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"$base64": _text(bytes(value))}
    if isinstance(value, pc.Expression):
        return {"$expression": _text(expression_bytes(value))}
    raise InvalidArgumentError(f"a {type(value).__name__} cannot be sent to a server: {value!r:.80}")


def decode(value: Any, depth: int = 0) -> Any:
    """The inverse of `encode`; InvalidArgumentError for a tag whose content is wrong."""
    if depth > DEPTH_MAX:
        raise InvalidArgumentError(f"the request is nested more than {DEPTH_MAX} levels deep; flatten it")
    if isinstance(value, list):
        return [decode(item, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        tag, content = next(iter(value.items()))
        make = _TAGS.get(tag)
        if make is not None:
            try:
                return make(content)
            except NearrowError:
                raise
            except (ValueError, TypeError, KeyError, ArithmeticError) as error:
                raise InvalidArgumentError(f"{tag} cannot hold {content!r:.80}: {error}") from None
    return {key: decode(item, depth + 1) for key, item in value.items()}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: Any) -> bytes:
    return base64.b64decode(text, validate=True)


def _date(text: str) -> Any:
    if len(text) == len("2024-05-01"):
        return datetime.date.fromisoformat(text)
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def _seconds(content: Any) -> datetime.timedelta:
    seconds, microseconds = content if isinstance(content, list) else (content, 0)
    return datetime.timedelta(seconds=seconds, microseconds=microseconds)


def _array(content: Any) -> Any:
    kind, shape, data = content
    if kind not in ARRAY_TYPES:
        raise ValueError(f"the type is one of {', '.join(ARRAY_TYPES)}")
    return np.frombuffer(_bytes(data), np.dtype(kind).newbyteorder("<")).reshape(shape)


_TAGS: dict[str, Callable[[Any], Any]] = {
    "$date": _date,
    "$time": datetime.time.fromisoformat,
    "$seconds": _seconds,
    "$decimal": Decimal,
    "$base64": _bytes,
    "$float": float,
    "$pairs": lambda pairs: {_hashable(decode(key)): decode(item) for key, item in pairs},
    "$array": _array,
    "$expression": lambda text: expression_of(_bytes(text)),
}


def _hashable(key: Any) -> Any:
    return tuple(key) if isinstance(key, list) else key
