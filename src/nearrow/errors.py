"""Errors: what can go wrong, and what should the caller do about it?

    NearrowError
    ├── InvalidArgumentError (ValueError)     an argument is out of its domain
    │   └── DimensionMismatchError            a vector has the wrong number of dimensions
    ├── SchemaError (TypeError)               a column's type conflicts with the collection's
    ├── FilterError (ValueError)              a filter names an unknown field or operator, or a wrong operand
    ├── NotFoundError (KeyError)              no such collection, id or column
    ├── AlreadyExistsError (ValueError)       the id or collection exists
    ├── EmbeddingError (RuntimeError)         the embedding model is missing, failed, or is not the collection's
    ├── LockedError (BlockingIOError)         another writer holds the collection
    ├── ReadOnlyError (PermissionError)       opened for reading
    ├── ClosedError (ValueError)              used after close(), or in a forked child
    ├── LimitExceededError (RuntimeError)     a query takes more time or memory than it may
    ├── AccessDeniedError (PermissionError)   a server refuses: no token, a wrong one, or a role that may not do it
    ├── UnavailableError (ConnectionError)    a server cannot be reached, is busy, or is about to stop
    └── StorageError (OSError)                the disk failed
        ├── CorruptionError                   bytes on disk are not what was written
        └── IncompatibleFormatError           written by a newer Nearrow

Every message says what was wrong, where, and what to do.
"""

from __future__ import annotations


class NearrowError(Exception):
    """Base of every error that Nearrow raises on purpose."""

    def __str__(self) -> str:  # KeyError would show the repr of its argument
        return str(self.args[0]) if len(self.args) == 1 else super().__str__()


class InvalidArgumentError(NearrowError, ValueError):
    """An argument is out of its domain: k ≤ 0, NaN in a vector, an empty id, …"""


class DimensionMismatchError(InvalidArgumentError):
    """A vector does not have the collection's number of dimensions."""


class SchemaError(NearrowError, TypeError):
    """A column's type conflicts with the type that the collection has for it."""


class FilterError(NearrowError, ValueError):
    """A filter names an unknown field or operator, or an operand of the wrong type."""


class NotFoundError(NearrowError, KeyError):
    """No such collection, id, column or snapshot."""


class AlreadyExistsError(NearrowError, ValueError):
    """The id or collection exists already; nothing was written."""


class EmbeddingError(NearrowError, RuntimeError):
    """The embedding model cannot be loaded, did not answer, or is another one than made the collection's vectors."""


class LockedError(NearrowError, BlockingIOError):
    """Another writer holds the collection; open it read-only, or close the other writer."""


class ReadOnlyError(NearrowError, PermissionError):
    """A write was asked of a collection that was opened for reading."""


class ClosedError(NearrowError, ValueError):
    """The object was closed, or belongs to the parent of a forked process."""


class LimitExceededError(NearrowError, RuntimeError):
    """A query takes more time, more memory, or gives more rows than it may."""


class AccessDeniedError(NearrowError, PermissionError):
    """A server refuses: no token was given, or a wrong one, or its role does not allow this."""


class UnavailableError(NearrowError, ConnectionError):
    """A server cannot be reached, did not answer in time, has too much to do, or is about to stop; try again."""


class StorageError(NearrowError, OSError):
    """The disk failed: an I/O error, no space, a missing file."""


class CorruptionError(StorageError):
    """Bytes on disk are not what was written."""


class IncompatibleFormatError(StorageError):
    """The files were written by a newer Nearrow, or use a feature that this one lacks."""


__all__ = [
    "AccessDeniedError",
    "AlreadyExistsError",
    "ClosedError",
    "CorruptionError",
    "DimensionMismatchError",
    "EmbeddingError",
    "FilterError",
    "IncompatibleFormatError",
    "InvalidArgumentError",
    "LimitExceededError",
    "LockedError",
    "NearrowError",
    "NotFoundError",
    "ReadOnlyError",
    "SchemaError",
    "StorageError",
    "UnavailableError",
]
