"""Manifest schema: how does the collection's Arrow schema stand in the manifest's JSON?"""

from __future__ import annotations

import base64

import pyarrow as pa

from nearrow.errors import CorruptionError


def encode_schema(schema: pa.Schema) -> str:
    """Base64 of the Arrow IPC schema message."""
    return base64.b64encode(schema.serialize()).decode("ascii")


def decode_schema(text: str) -> pa.Schema:
    """The inverse; CorruptionError if the text is anything else."""
    try:
        return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text, validate=True)))
    except (ValueError, OSError, pa.ArrowException) as error:
        raise CorruptionError(f"the manifest's schema cannot be read ({error}); restore a snapshot") from error


def id_type(schema: pa.Schema) -> str | None:
    """ "string" or "int64"; None before the first row."""
    found = schema.field("id").type
    return None if pa.types.is_null(found) else str(found)
