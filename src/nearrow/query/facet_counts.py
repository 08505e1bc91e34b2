"""Facet counts: which rows of a view are counted?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nearrow.query.accept import Accept, Filters
from nearrow.query.facets import count_facets, parse_request
from nearrow.query.filter import bits
from nearrow.query.text_search import TextSearch
from nearrow.segment.rows import Bits
from nearrow.segment.view import View


def facet_counts(
    requests: Sequence[Any], view: View, accept: Sequence[Accept], words: TextSearch | None, filters: Filters
) -> dict[str, Any]:
    """The facets of all rows that are accepted and, if there is a text query, match it."""
    wanted = [requests] if isinstance(requests, (str, dict)) else list(requests)
    columns = sorted({parse_request(request).field.split(".")[0] for request in wanted} & set(view.schema.names))
    masks: list[Bits | None] = [allowed.bits for allowed in accept] if words is None else _matching(view, words)
    parts = [(part.select(columns), mask, part.key) for part, mask in zip(view.parts, masks, strict=True)]
    return count_facets(wanted, parts, view.schema, filters.facet_values)


def _matching(view: View, words: TextSearch) -> list[Bits | None]:
    numbers = words.matches()
    masks: list[Bits | None] = []
    for part in view.parts:
        flags = np.zeros(part.rows, np.bool_)
        positions = part.locate(numbers)
        flags[positions[positions >= 0]] = True
        masks.append(bits.pack(flags))
    return masks
