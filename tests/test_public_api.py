"""Public API: which names and signatures do users rely on?

A change here is a change of the contract: make it on purpose, and say so in CHANGELOG.md.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import nearrow

NAMES = {
    "connect",
    "Database",
    "Collection",
    "CollectionConfig",
    "HnswIndex",
    "Hit",
    "Hits",
    "NearrowError",
    "InvalidArgumentError",
    "DimensionMismatchError",
    "SchemaError",
    "FilterError",
    "NotFoundError",
    "AlreadyExistsError",
    "LockedError",
    "ReadOnlyError",
    "ClosedError",
    "StorageError",
    "CorruptionError",
    "IncompatibleFormatError",
}

BUILT_INS = {  # error → the built-in that a user would catch
    "InvalidArgumentError": ValueError,
    "DimensionMismatchError": ValueError,
    "SchemaError": TypeError,
    "FilterError": ValueError,
    "NotFoundError": KeyError,
    "AlreadyExistsError": ValueError,
    "LockedError": BlockingIOError,
    "ReadOnlyError": PermissionError,
    "ClosedError": ValueError,
    "StorageError": OSError,
    "CorruptionError": OSError,
    "IncompatibleFormatError": OSError,
}

SIGNATURES = {  # verb → its parameters and their defaults
    "connect": "(path, *, read_only=False)",
}


def parameters(function: Callable[..., Any]) -> str:
    """The signature of `function` without annotations and self."""
    found = inspect.signature(function)
    kept = [p.replace(annotation=p.empty) for name, p in found.parameters.items() if name not in ("self", "cls")]
    return str(found.replace(parameters=kept, return_annotation=inspect.Signature.empty))


def lookup(name: str) -> Any:
    found: Any = nearrow
    for part in name.split("."):
        found = getattr(found, part)
    return found


def test_all_lists_the_public_names_and_nothing_else() -> None:
    assert set(nearrow.__all__) == NAMES
    assert len(nearrow.__all__) == len(NAMES)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_public_name_is_documented(name: str) -> None:
    assert inspect.getdoc(getattr(nearrow, name))


@pytest.mark.parametrize("name", sorted(BUILT_INS))
def test_error_is_also_the_built_in_that_a_user_would_catch(name: str) -> None:
    assert issubclass(getattr(nearrow, name), (nearrow.NearrowError,))
    assert issubclass(getattr(nearrow, name), BUILT_INS[name])


@pytest.mark.parametrize("name", sorted(SIGNATURES))
def test_signature_is_what_was_promised(name: str) -> None:
    assert parameters(lookup(name)) == SIGNATURES[name]
