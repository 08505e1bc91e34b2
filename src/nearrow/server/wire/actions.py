"""Wire actions: what may be asked with DoAction, by whom, and with which arguments?

The body is a JSON object of arguments, the one result a JSON value. `collection` names the collection wherever it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

READ, WRITE, ADMIN = "read", "write", "admin"
ROLES = (READ, WRITE, ADMIN)
"""Each may do what those before it may."""


@dataclass(frozen=True)
class Action:
    """One action. `arguments` with a trailing "?" may be left out."""

    name: str
    role: str
    arguments: tuple[str, ...]
    what: str

    @property
    def description(self) -> str:
        """For ListActions."""
        return f"{self.what} Body: {{{', '.join(self.arguments)}}}. Role: {self.role}."


ACTIONS: Mapping[str, Action] = {
    action.name: action
    for action in (
        Action("health", READ, (), "Whether the server lives, its version, for how many seconds it has run."),
        Action("readiness", READ, (), "Whether it takes calls, or is about to stop."),
        Action("collections", READ, (), "The names of the collections."),
        Action("describe", READ, ("collection",), "The settings that a collection was created with."),
        Action("count", READ, ("collection", "where?"), "How many rows there are, or match a filter."),
        Action("contains", READ, ("collection", "id"), "Whether there is a row with this id."),
        Action(
            "search", READ, ("collection", "id", "question?"), "The rows nearest to a row, without itself, as JSON."
        ),
        Action(
            "snippet", READ, ("collection", "text", "value", "field"), "The part of a text that matches a query best."
        ),
        Action(
            "facets", READ, ("collection", "facets", "where?", "text?"), "Counts of values over the rows that match."
        ),
        Action(
            "recall", READ, ("collection", "k?", "sample?", "where?", "target_recall?"), "Measures recall on this data."
        ),
        Action("stats", READ, ("collection",), "Rows, segments, bytes."),
        Action("check", READ, ("collection",), "Reads every byte of a collection and says what is wrong."),
        Action("create", WRITE, ("collection", "dimension", "settings?", "exist_ok?"), "Makes a collection."),
        Action("delete", WRITE, ("collection", "ids?", "where?", "request?"), "Deletes rows; how many went."),
        Action("update", WRITE, ("collection", "where", "values", "request?"), "Gives rows that match new values."),
        Action("flush", WRITE, ("collection",), "Puts every row into a segment."),
        Action("compact", WRITE, ("collection",), "Merges all segments into one, without dead rows."),
        Action("wait", WRITE, ("collection",), "Returns when no background work is left."),
        Action("drop", ADMIN, ("collection",), "Deletes a collection and its files."),
        Action("repair", ADMIN, ("collection",), "Rebuilds what is derived, saves the rows that can be read."),
        Action(
            "snapshot",
            ADMIN,
            ("collection", "name", "compression?", "row_group_rows?", "data_page_bytes?", "byte_stream_split?"),
            "Copies a collection, as it is now, into the server's folder of snapshots.",
        ),
        Action("restore", ADMIN, ("name", "collection?"), "Makes a collection of one of the server's snapshots."),
    )
}
