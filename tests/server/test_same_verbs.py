"""Same verbs: does what is behind a server have the methods of what is in a directory, with the same parameters?"""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from nearrow.collection import Collection
from nearrow.database import Database
from nearrow.errors import InvalidArgumentError
from nearrow.server.client.collection import RemoteCollection
from nearrow.server.client.database import RemoteDatabase
from nearrow.server.client.transaction import RemoteTransaction
from nearrow.write.transaction import Transaction

PAIRS = [(Database, RemoteDatabase), (Collection, RemoteCollection), (Transaction, RemoteTransaction)]


def public(kind: type) -> dict[str, Any]:
    """What a user may call or read, special methods among them."""
    special = ("__len__", "__contains__", "__enter__", "__exit__", "__repr__")
    return {name: value for name, value in inspect.getmembers(kind) if not name.startswith("_") or name in special}


def shape(verb: Any) -> Any:
    """Its parameters, their order, kinds and defaults; of a property, that it is one."""
    if isinstance(verb, property):
        return "property"
    return [(one.name, one.kind, one.default) for one in inspect.signature(verb).parameters.values()]


@pytest.mark.parametrize(("local", "remote"), PAIRS, ids=lambda kind: kind.__name__)
def test_every_public_verb_is_there_with_the_same_parameters(local: type, remote: type) -> None:
    offered = public(remote)
    assert set(public(local)) <= set(offered), sorted(set(public(local)) - set(offered))
    for name, verb in public(local).items():
        assert shape(verb) == shape(offered[name]), name


@pytest.mark.parametrize(("local", "remote"), PAIRS, ids=lambda kind: kind.__name__)
def test_nothing_is_there_that_a_directory_does_not_have(local: type, remote: type) -> None:
    assert set(public(remote)) <= set(public(local))


def test_a_server_embeds_nothing(remote: Database, words: Collection) -> None:
    with pytest.raises(InvalidArgumentError, match="a server embeds nothing"):
        remote.create_collection("other", embedding=len)
    with pytest.raises(InvalidArgumentError, match="a server embeds nothing"):
        words.search(query="violin")
    with pytest.raises(InvalidArgumentError, match="a server embeds nothing"):
        words.embed("violin")
    with pytest.raises(InvalidArgumentError, match="needs the directory"):
        words.reembed(len)
    with pytest.raises(InvalidArgumentError, match="dimension is missing"):
        remote.create_collection("other")
